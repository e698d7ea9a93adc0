"""Messages of alerts that another product remembers."""

from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import from_timestamp
from monitors.rules.model.past_alerts import Acknowledged, PastAlert
from monitors.rules.model.rule import Severity
from monitors.rules.translate.rules import check_rule_id
from monitors.v1 import rule_service_pb2 as pb


def past_from_proto(message: pb.PastAlert) -> PastAlert:
    """What a client says of an alert. Raises InvalidField."""
    given = message.acknowledgement if message.HasField("acknowledgement") else None
    return PastAlert(
        key=message.key,
        rule_id=check_rule_id(message.rule_id),
        monitor_id=message.monitor_id,
        title=message.title,
        severity=_severity(message.severity),
        condition_text=message.condition_text,
        value=message.value if message.HasField("value") else None,
        fire_time=_time(message.fire_time, "fire_time") if message.HasField("fire_time") else None,
        resolve_time=_time(message.resolve_time, "resolve_time") if message.HasField("resolve_time") else None,
        acknowledged=Acknowledged(
            user=given.user,
            time=_time(given.time, "acknowledgement.time") if given.HasField("time") else None,
            note=given.note,
        )
        if given
        else None,
        detail=message.detail,
    )


def _severity(number: int) -> Severity | None:
    try:
        return Severity(number) if number else None
    except ValueError:
        raise InvalidField("severity", f"{number} isn't one of its values; see the contract") from None


def _time(message: Timestamp, path: str) -> int:
    if not 0 <= message.nanos < 10**9:
        raise InvalidField(path, f"has {message.nanos} nanos; send 0 to 999,999,999")
    return from_timestamp(message)
