"""Exported points as a Parquet file. Needs pyarrow, an extra of this package."""

from collections.abc import Iterator, Sequence
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from monitors.v1.evaluator_service_pb2 import ExportSeriesResponse, SeriesDefinition
from monitors.v1.monitor_pb2 import FieldType

TAGS = pa.map_(pa.string(), pa.string())
KEY = [
    ("time", pa.timestamp("ns", "UTC")),
    ("monitor", pa.string()),
    ("measurement", pa.string()),
    ("field", pa.string()),
    ("tags", TAGS),
]
VALUES: dict[int, tuple[str, Any]] = {
    FieldType.FIELD_TYPE_FLOAT: ("float", pa.float64()),
    FieldType.FIELD_TYPE_INTEGER: ("integer", pa.int64()),
    FieldType.FIELD_TYPE_UNSIGNED: ("unsigned", pa.uint64()),
    FieldType.FIELD_TYPE_BOOLEAN: ("boolean", pa.bool_()),
    FieldType.FIELD_TYPE_STRING: ("string", pa.string()),
}


def write_parquet(file: IO[bytes], messages: Iterator[ExportSeriesResponse]) -> tuple[int, int]:
    """Writes all points and gives how many there are, and of how many series. Raises OSError, grpc.RpcError."""
    definitions, first = _definitions(messages)
    columns = _Columns(definitions)
    seen = np.zeros(len(definitions), np.bool_)
    count = 0
    with pq.ParquetWriter(file, columns.schema, compression="zstd") as writer:
        message = first
        while message is not None:
            indexes = np.frombuffer(message.series_indexes, "<u4")
            writer.write_table(columns.table(message, indexes))
            seen[indexes] = True
            count += len(indexes)
            message = next(messages, None)
    return count, int(seen.sum())


def _definitions(
    messages: Iterator[ExportSeriesResponse],
) -> tuple[list[SeriesDefinition], ExportSeriesResponse | None]:
    """The series, which come before the points, and the first message with points."""
    definitions: list[SeriesDefinition] = []
    for message in messages:
        definitions.extend(message.series)
        if message.times:
            return definitions, message
    return definitions, None


class _Columns:
    """Turns messages into tables of one schema."""

    def __init__(self, definitions: Sequence[SeriesDefinition]) -> None:
        keys = [definition.key for definition in definitions]
        self._names = [
            pa.array([getattr(key, name) for key in keys], pa.string())
            for name in ("monitor_id", "measurement", "field")
        ]
        self._tags = pa.array([sorted(key.tags.items()) for key in keys], TAGS)
        self._types = np.array([definition.type for definition in definitions], np.int64)
        self._kinds = sorted(set(self._types.tolist()))
        names = [VALUES[kind][0] for kind in self._kinds]
        self.schema = pa.schema(
            KEY
            + [
                ("value" if len(names) == 1 else f"value_{name}", VALUES[kind][1])
                for name, kind in zip(names, self._kinds, strict=True)
            ]
        )

    def table(self, message: ExportSeriesResponse, indexes: "np.ndarray[Any, np.dtype[np.uint32]]") -> Any:
        """A message's points."""
        series = pa.array(indexes)
        times = pa.array(np.frombuffer(message.times, "<i8")).cast(KEY[0][1])
        values = np.frombuffer(message.values, "<u8")
        types = self._types[indexes]
        key = [times, *(column.take(series) for column in (*self._names, self._tags))]
        return pa.table(
            [*key, *(_values(kind, values, types != kind, message.texts) for kind in self._kinds)], schema=self.schema
        )


def _values(kind: int, values: Any, absent: Any, texts: Sequence[str]) -> Any:
    """The values of one type; null where a point's is another one."""
    if kind == FieldType.FIELD_TYPE_STRING:
        places = pa.array(np.where(absent, 0, values), mask=absent)
        return pa.array(texts, pa.string()).take(places)
    if kind == FieldType.FIELD_TYPE_BOOLEAN:
        return pa.array(values != 0, mask=absent)
    return pa.array(values.view(VALUES[kind][1].to_pandas_dtype()), mask=absent)
