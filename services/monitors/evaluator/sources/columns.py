"""Arrow's columns to points."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitors.evaluator.model.series import FieldType, Int32s, Int64s
from monitors.evaluator.points import Bits, Points, join

ARROW_TYPES = {
    FieldType.FLOAT: pa.float64(),
    FieldType.INTEGER: pa.int64(),
    FieldType.UNSIGNED: pa.uint64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.STRING: pa.string(),
}


def single(column: pa.ChunkedArray) -> pa.Array:
    """A column that was read as one block."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def points_of(places: Int32s, times: Int64s, column: pa.Array) -> Points:
    """The points of a column of values, whose nulls are none. `places` and `times` have an entry for each of it."""
    if column.null_count:
        present = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
        places, times, column = places[present], times[present], column.drop_null()
    values, told = _values(column)
    return Points(places, times, values, told)


def _values(column: pa.Array) -> tuple[Bits, tuple[str, ...]]:
    if pa.types.is_string(column.type):
        return np.arange(len(column), dtype=np.uint64), tuple(texts(column))
    if pa.types.is_boolean(column.type):
        return column.cast(pa.uint8()).to_numpy().astype(np.uint64), ()
    return column.to_numpy().view(np.uint64), ()


def texts(column: pa.Array) -> list[str]:
    """A column of texts without nulls, much faster than Arrow's own list."""
    found: list[str] = column.to_numpy(zero_copy_only=False).tolist()
    return found


def joined(parts: Sequence[Points]) -> Points:
    """All points of some columns, each of which holds texts only or none."""
    return join(parts, [np.full(len(part), bool(part.texts)) for part in parts])


def nanoseconds(column: pa.Array) -> Int64s:
    """A column of times as int64."""
    times: Int64s = column.cast(pa.int64()).to_numpy()
    return times


def with_plain_breaks(column: pa.Array) -> pa.Array:
    """A column of texts whose line breaks are those that were written: a writer of CSV that ends its rows with CR LF
    makes all others the same."""
    return pc.replace_substring(column, "\r\n", "\n")
