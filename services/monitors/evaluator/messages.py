"""Samples and series between their messages and our own values."""

from collections.abc import Sequence

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from monitors.evaluator.catalogue import text_mask
from monitors.evaluator.model.series import FieldType, Floats, Series, SeriesKey
from monitors.evaluator.points import Definition, Points, Submission, numbers
from monitors.mesh.errors import InvalidField
from monitors.mesh.times import to_timestamp
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import monitor_pb2


def to_key_message(key: SeriesKey) -> monitor_pb2.SeriesKey:
    """The key, less its tenant."""
    return monitor_pb2.SeriesKey(
        monitor_id=key.monitor, measurement=key.measurement, field=key.field, tags=dict(key.tags)
    )


def to_definition_message(definition: Definition) -> pb.SeriesDefinition:
    """The series and its type."""
    kind = monitor_pb2.FieldType.ValueType(definition.type)
    return pb.SeriesDefinition(key=to_key_message(definition.key), type=kind)


def from_definition_message(message: pb.SeriesDefinition, tenant: str, place: int) -> Definition:
    """The series that a sender defines at `place` of its stream. Raises InvalidField."""
    try:
        kind = FieldType(message.type)
    except ValueError:
        raise InvalidField(
            f"series[{place}].type", f"{message.type} isn't a field type; send FIELD_TYPE_FLOAT or one of its siblings"
        ) from None
    key = message.key
    tags = tuple(sorted(key.tags.items()))
    return Definition(SeriesKey(tenant, key.monitor_id, key.measurement, key.field, tags), kind)


def from_samples(request: pb.WriteSamplesRequest, definitions: Sequence[Definition]) -> Submission:
    """The columns of a message, checked against the series that the stream has defined so far. Raises InvalidField."""
    indexes = _column("series_indexes", request.series_indexes, "<u4")
    times = _column("times", request.times, "<i8")
    values = _column("values", request.values, "<u8")
    for name, column in (("times", times), ("values", values)):
        if len(column) != len(indexes):
            raise InvalidField(
                name, f"{len(column):,} entries, but series_indexes has {len(indexes):,}; send one for each sample"
            )
    if len(indexes) and int(indexes.max()) >= len(definitions):
        raise InvalidField(
            "series_indexes",
            f"{int(indexes.max())} names no series; {len(definitions)} are defined, counted from 0 over the stream",
        )
    points = Points(indexes.astype(np.int32), times.astype(np.int64), values.astype(np.uint64), tuple(request.texts))
    _check_values(points, definitions)
    return Submission(definitions, points)


def _column(name: str, data: bytes, kind: str) -> NDArray[np.generic]:
    size = np.dtype(kind).itemsize
    if len(data) % size:
        raise InvalidField(name, f"{len(data):,} bytes; send {size} bytes for each sample, little-endian")
    return np.frombuffer(data, kind)


def _check_values(points: Points, definitions: Sequence[Definition]) -> None:
    if not len(points):
        return
    is_text = text_mask(points.series, definitions)
    if (points.values[is_text] >= len(points.texts)).any():
        raise InvalidField(
            "values",
            f"a text's index is outside of `texts`, which has {len(points.texts)}; count from 0 in each message",
        )
    is_boolean = np.array([one.type == FieldType.BOOLEAN for one in definitions])[points.series]
    if (points.values[is_boolean] > 1).any():
        raise InvalidField("values", "a boolean is neither 0 nor 1; send 0 or 1 as uint64")


def to_series_info(series: Series, newest: Points) -> pb.SeriesInfo:
    """A series with its newest point; `newest` holds one point or none."""
    message = pb.SeriesInfo(key=to_key_message(series.key), type=monitor_pb2.FieldType.ValueType(series.type))
    if len(newest):
        message.last_time.CopyFrom(to_timestamp(int(newest.times[0])))
        if series.type == FieldType.STRING:
            message.last_text = newest.texts[0]
        else:
            message.last_value = float(as_numbers(series, newest)[0])
    return message


def as_numbers(series: Series, points: Points) -> Floats:
    """The values of one series' points as float64."""
    return numbers(points.values, np.full(len(points), series.type, np.uint8))


def to_series_points(series: Series, points: Points) -> pb.SeriesPoints:
    """The points of one series."""
    message = pb.SeriesPoints(key=to_key_message(series.key), times=points.times.tolist())
    if series.type == FieldType.STRING:
        message.texts.extend(points.texts[place] for place in points.values.tolist())
    else:
        message.values.extend(as_numbers(series, points).tolist())
    return message


def size_of(message: Message) -> int:
    """How many bytes a message takes on the wire."""
    return message.ByteSize()
