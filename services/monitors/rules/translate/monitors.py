"""Monitor messages and the model's fields."""

from collections.abc import Iterable

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import to_timestamp
from monitors.rules.model.catalogue import Field, FieldType
from monitors.rules.model.condition import LONGEST_NAME
from monitors.rules.store.monitors import KnownMonitor
from monitors.v1 import evaluator_service_pb2, monitor_pb2

_TYPES = {int(kind): kind for kind in FieldType}


def field_from_proto(measurement: str, name: str, number: int, path: str) -> Field:
    """A field. Raises InvalidField."""
    for what, text in (("measurement", measurement), ("field", name)):
        if not 1 <= len(text) <= LONGEST_NAME:
            raise InvalidField(f"{path}.{what}", f"has {len(text):,} characters; send 1 to {LONGEST_NAME:,}")
    kind = _TYPES.get(number)
    if kind is None:
        raise InvalidField(f"{path}.type", f"{number} isn't a type; send FLOAT, INTEGER, UNSIGNED, BOOLEAN or STRING")
    return Field(measurement, name, kind)


def monitor_to_proto(monitor: KnownMonitor, series: Iterable[evaluator_service_pb2.SeriesInfo]) -> monitor_pb2.Monitor:
    """The message of a monitor, with the newest values of those of the series that are its own."""
    message = monitor_pb2.Monitor(
        id=monitor.id, create_time=to_timestamp(monitor.create_time), rule_count=monitor.rule_count
    )
    fields = {}
    for each in monitor.fields:
        field = message.fields.add(measurement=each.measurement, field=each.name, type=int(each.type))
        fields[each.measurement, each.name] = field
    for info in series:
        known = fields.get((info.key.measurement, info.key.field)) if info.key.monitor_id == monitor.id else None
        if known is not None:
            _add_series(message, known, info)
    return message


def _add_series(
    monitor: monitor_pb2.Monitor, field: monitor_pb2.MonitorField, info: evaluator_service_pb2.SeriesInfo
) -> None:
    field.series_count += 1
    if not info.HasField("last_time"):
        return
    time = info.last_time.ToNanoseconds()
    if not field.HasField("last_time") or field.last_time.ToNanoseconds() < time:
        field.last_time.CopyFrom(info.last_time)
        field.ClearField("last_value")
        field.ClearField("last_text")
        if info.HasField("last_value"):
            field.last_value = info.last_value
        if info.HasField("last_text"):
            field.last_text = info.last_text
    if not monitor.HasField("last_time") or monitor.last_time.ToNanoseconds() < time:
        monitor.last_time.CopyFrom(info.last_time)
