"""Flux's annotated CSV to points.

https://docs.influxdata.com/influxdb/v2/reference/syntax/annotated-csv/
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitors.evaluator.lines import take_monitor
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.points import Points
from monitors.evaluator.sources.columns import (
    ARROW_TYPES,
    nanoseconds,
    points_of,
    single,
    texts,
    with_plain_breaks,
)
from monitors.evaluator.sources.csv_blocks import Block, Blocks, Header, read_block
from monitors.evaluator.sources.errors import SourceError, SourceRefused, SourceUnavailable, short
from monitors.evaluator.sources.port import SourceSeries
from monitors.evaluator.sources.series_book import Naming, Row, SeriesBook

TYPES = {
    "double": FieldType.FLOAT,
    "long": FieldType.INTEGER,
    "unsignedLong": FieldType.UNSIGNED,
    "boolean": FieldType.BOOLEAN,
    "string": FieldType.STRING,
}
TIMES = ("dateTime:RFC3339", "dateTime:RFC3339Nano")
OF_THE_ANSWER = ("", "result", "table")
"""The first columns of every table. A tag of the same name is a column further on."""
NO_IDENTITY = ("_time", "_value", "_start", "_stop")
MARK = b"#"
"""Every header begins with a comment, since comments are asked for."""
COLLISION = "schema collision"


class Collision(SourceUnavailable):
    """A field of several types can't be in one table."""


Names = Naming[tuple[str, ...], FieldType]


def naming(book: SeriesBook) -> Names:
    """Series by the labels of the columns that identify them and the type of their values."""
    return Naming(book, _series_of)


def _series_of(labels: tuple[str, ...], kind: FieldType, row: Row) -> SourceSeries:
    tags = {label: value for label, value in zip(labels, row, strict=True) if value}
    measurement, field = tags.pop("_measurement", ""), tags.pop("_field", "")
    monitor = take_monitor(tags) or measurement
    return SourceSeries(monitor, measurement, field, tuple(sorted(tags.items())), kind)


class Answer:
    """Reads one answer: tables of any number and shape. `monitors` are those whose points are wanted; None for all."""

    def __init__(self, names: Names, book: SeriesBook, monitors: frozenset[str] | None = None) -> None:
        self._names, self._book, self._monitors = names, book, monitors
        self._blocks = Blocks(MARK)
        self._wanted = np.empty(0, np.bool_)

    def feed(self, piece: bytes) -> list[Points]:
        """The points that a piece completes. Raises SourceError."""
        return list(self._points(self._blocks.feed(piece)))

    def end(self) -> list[Points]:
        """The last points. Raises SourceError if the answer ends within a row."""
        return list(self._points(self._blocks.end()))

    def _points(self, blocks: Iterator[Block]) -> Iterator[Points]:
        for block in blocks:
            if "error" in block.header.labels and "_value" not in block.header.labels:
                raise _told(block)
            points = self._read(block)
            if self._monitors is not None:
                points = points.take(self._of_wanted(self._monitors)[points.series])
            if len(points):
                yield points

    def _read(self, block: Block) -> Points:
        header = _with_own_names(block.header)
        labels, types = header.labels, header.comment("#datatype")
        if len(types) != len(labels) or not {"_time", "_value"} <= {*labels}:
            raise SourceUnavailable("sent an answer with other columns than were asked for")
        if len({*labels}) != len(labels):
            raise SourceRefused("has a tag that is named like the time or the value of a point; rename it")
        told = dict(zip(labels, types, strict=True))
        kind = TYPES.get(told["_value"])
        if kind is None or told["_time"] not in TIMES:
            raise SourceUnavailable(f"sent values of a type that isn't known: {short(told['_value'])}")
        identity = tuple(label for label in labels if label not in NO_IDENTITY and not _is_of_the_answer(label))
        arrow = {"_time": pa.timestamp("ns", tz="UTC"), "_value": ARROW_TYPES[kind]}
        table = read_block(block.body, arrow | dict.fromkeys(identity, pa.string()), list(labels))
        columns = [_filled(single(table.column(label)), header, label) for label in identity]
        values = single(table.column("_value"))
        if b'"' in block.body:
            columns = [with_plain_breaks(column) for column in columns]
            values = with_plain_breaks(values) if kind == FieldType.STRING else values
        numbers = self._names.rows(identity).numbers(columns, table.num_rows)
        places = self._names.places(identity, kind).of(numbers)
        return points_of(places, nanoseconds(single(table.column("_time"))), values)

    def _of_wanted(self, monitors: frozenset[str]) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        new = self._book.series[len(self._wanted) :]
        if new:
            self._wanted = np.append(self._wanted, [series.monitor in monitors for series in new])
        return self._wanted


def _with_own_names(header: Header) -> Header:
    """A header whose first columns have names that no tag can have, since none holds a line break."""
    own, tags = header.labels[: len(OF_THE_ANSWER)], header.labels[len(OF_THE_ANSWER) :]
    return header._replace(labels=(*(f"\n{label}" for label in own), *tags)) if own == OF_THE_ANSWER else header


def _is_of_the_answer(label: str) -> bool:
    return label.startswith("\n")


def _filled(column: pa.Array, header: Header, label: str) -> pa.Array:
    """A column of texts, where an empty one is the default that the header has for it."""
    defaults = dict(zip(header.labels, header.comment("#default"), strict=False))
    default = defaults.get(label, "")
    return pc.if_else(pc.equal(column, ""), default, column) if default else column


def _told(block: Block) -> SourceError:
    """The error that an answer ends with: a table of its own."""
    told = "a reason that it doesn't tell"
    table = read_block(block.body, {"error": pa.string()}, list(block.header.labels))
    for text in texts(single(table.column("error")))[:1]:
        told = short(text)
    if COLLISION in told:
        return Collision(f"can't put a field of several types into one table: {told}")
    return SourceUnavailable(f"broke off its answer: {told}")
