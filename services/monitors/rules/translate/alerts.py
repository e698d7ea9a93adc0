"""Alert, notification and transition messages and the model's values."""

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import DAY, from_timestamp, to_timestamp
from monitors.rules.model.alert import Alert, Delivery, Event, EventKind, Instance, Notification
from monitors.rules.model.episodes import Result, Transition
from monitors.rules.model.rule import LONGEST_TIME, Severity
from monitors.v1 import alert_pb2 as pb
from monitors.v1 import mesh_pb2, notification_pb2

LONGEST_DETAIL = 4000
_SEVERITIES = {int(severity): severity for severity in Severity}


def alert_to_proto(alert: Alert, now: int) -> pb.Alert:
    """The message of an alert, as it is at `now`."""
    message = pb.Alert(
        id=alert.id,
        rule_id=alert.rule_id,
        title=alert.title,
        monitor_id=alert.monitor_id,
        group=alert.group,
        severity=int(alert.severity),  # type: ignore[arg-type]
        state=pb.ALERT_STATE_FIRING if alert.is_open else pb.ALERT_STATE_RESOLVED,
        condition_text=alert.condition_text,
        value=alert.value,
        active_time=to_timestamp(alert.episode),
        fire_time=to_timestamp(alert.fire_time),
        resolve_reason=alert.resolve_reason,
        labels=alert.labels,
        annotations=alert.annotations,
        suppress_reason=alert.suppressed_as(now),
    )
    if alert.resolve_time is not None:
        message.resolve_time.CopyFrom(to_timestamp(alert.resolve_time))
    if alert.acknowledge_time is not None:
        message.acknowledgement.user = alert.acknowledge_user
        message.acknowledgement.note = alert.acknowledge_note
        message.acknowledgement.time.CopyFrom(to_timestamp(alert.acknowledge_time))
    return message


def event_to_proto(event: Event) -> pb.AlertEvent:
    """The message of something that happened to an alert."""
    return pb.AlertEvent(
        time=to_timestamp(event.time),
        kind=int(event.kind),  # type: ignore[arg-type]
        value=event.value,
        user=event.user,
        detail=event.detail,
    )


def delivery_to_proto(delivery: Delivery) -> pb.AlertDelivery:
    """The message of what became of a message."""
    return pb.AlertDelivery(
        notification_id=delivery.notification_id,
        channel=delivery.channel,
        kind=delivery.kind,  # type: ignore[arg-type]
        state=delivery.state,  # type: ignore[arg-type]
        attempt_count=delivery.attempt_count,
        detail=delivery.detail,
        time=to_timestamp(delivery.time),
    )


def delivery_from_proto(message: pb.AlertDelivery) -> Delivery:
    """What became of a message. Raises InvalidField."""
    for name, value, most in (
        ("notification_id", message.notification_id, 40),
        ("channel", message.channel, 64),
    ):
        if not 1 <= len(value) <= most:
            raise InvalidField(f"reports.delivery.{name}", f"has {len(value)} characters; send 1 to {most}")
    return Delivery(
        notification_id=message.notification_id,
        channel=message.channel,
        kind=message.kind,
        state=message.state,
        attempt_count=message.attempt_count,
        detail=message.detail[:LONGEST_DETAIL],
        time=_checked_time("reports.delivery.time", from_timestamp(message.time)),
    )


def encode_notification(notification: Notification) -> bytes:
    """A notification as it's remembered: all but its sequence."""
    event, alert = notification.event, notification.alert
    # Whoever reads it, reads it once it was released.
    as_told = alert_to_proto(alert, max(notification.due_time, alert.told_time or 0))
    message = notification_pb2.Notification(
        id=notification.id,
        tenant_id=alert.tenant,
        kind=int(event.kind),  # type: ignore[arg-type]
        alert=as_told,
        user=event.user,
        detail=event.detail,
        channels=alert.channels,
        stream_key=alert.stream_key,
        event_time=to_timestamp(event.time),
        create_time=to_timestamp(event.record_time),
        traceparent=alert.traceparent,
    )
    return message.SerializeToString()


def transition_from_proto(message: mesh_pb2.Transition, path: str) -> Transition:
    """A transition. Raises InvalidField."""
    if message.kind not in (pb.ALERT_EVENT_KIND_FIRING, pb.ALERT_EVENT_KIND_RESOLVED):
        raise InvalidField(f"{path}.kind", "must be FIRING or RESOLVED")
    for name, value, most in (
        ("tenant_id", message.tenant_id, 40),
        ("rule_id", message.rule_id, 40),
        ("monitor_id", message.monitor_id, 256),
    ):
        if not 1 <= len(value) <= most:
            raise InvalidField(f"{path}.{name}", f"has {len(value)} characters; send 1 to {most}")
    return Transition(
        instance=Instance(message.tenant_id, message.rule_id, message.monitor_id, dict(message.group)),
        episode=_checked_time(f"{path}.episode", message.episode),
        kind=EventKind(message.kind),
        time=_checked_time(f"{path}.time_nanos", message.time_nanos),
        value=message.value if message.HasField("value") else None,
        reason=message.reason[:100],
        delay=message.delay_nanos,
        severity=_SEVERITIES.get(message.severity),
        traceparent=message.traceparent[:100],
    )


def _checked_time(path: str, nanos: int) -> int:
    # Room for a cooldown after it.
    if not 0 <= nanos <= LONGEST_TIME - 7 * DAY:
        raise InvalidField(path, f"{nanos} is out of bounds; send nanoseconds since 1970")
    return nanos


def result_to_proto(result: Result) -> mesh_pb2.TransitionResult:
    """The message of what was done with a transition."""
    return mesh_pb2.TransitionResult(
        alert_id=result.alert_id,
        outcome=int(result.outcome),  # type: ignore[arg-type]
        episode=result.episode,
    )


def episode_to_proto(alert: Alert) -> mesh_pb2.OpenEpisode:
    """An open alert as an evaluator goes on with it."""
    return mesh_pb2.OpenEpisode(
        tenant_id=alert.tenant,
        rule_id=alert.rule_id,
        alert_id=alert.id,
        monitor_id=alert.monitor_id,
        group=alert.group,
        episode=alert.episode,
        fire_time_nanos=alert.fire_time,
    )
