"""Samples and series between their messages and our own values."""

import numpy as np
from google.protobuf.message import Message

from monitors.evaluator.model.explanation import Explanation
from monitors.evaluator.model.series import FieldType, Floats, Series, SeriesKey
from monitors.evaluator.model.state import Status
from monitors.evaluator.points import Definition, Points, numbers
from monitors.mesh.errors import InvalidField
from monitors.mesh.times import to_timestamp
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import monitor_pb2, rule_pb2

_STATES = {
    Status.INACTIVE: pb.INSTANCE_STATE_INACTIVE,
    Status.PENDING: pb.INSTANCE_STATE_PENDING,
    Status.FIRING: pb.INSTANCE_STATE_FIRING,
}


def to_key_message(key: SeriesKey) -> monitor_pb2.SeriesKey:
    """The key, less its tenant."""
    return monitor_pb2.SeriesKey(
        monitor_id=key.monitor, measurement=key.measurement, field=key.field, tags=dict(key.tags)
    )


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


def to_explanation(explanation: Explanation) -> pb.InstanceExplanation:
    """Why an instance is in its state."""
    message = pb.InstanceExplanation(
        monitor_id=explanation.key.monitor,
        group=dict(explanation.key.tags),
        state=_STATES[explanation.status],
        evaluation_time=to_timestamp(explanation.time),
        text=explanation.text,
        severity=rule_pb2.Severity.ValueType(explanation.level),
    )
    if explanation.value is not None:
        message.value = explanation.value
    if explanation.since is not None:
        message.since_time.CopyFrom(to_timestamp(explanation.since))
    return message
