"""Alert, notification and transition messages and the model's values."""

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import DAY, SECOND, from_timestamp, to_timestamp
from monitors.rules.model.alert import Alert, Delivery, Episode, Event, EventKind, Instance, Notification
from monitors.rules.model.episodes import Result, Transition
from monitors.rules.model.rule import LONGEST_TIME, Severity
from monitors.v1 import alert_pb2 as pb
from monitors.v1 import mesh_pb2, notification_pb2

LONGEST_DETAIL = 4000
LONGEST_ID = 40
_LATEST_TIME = LONGEST_TIME - 7 * DAY
_TRANSITION_KINDS = {int(kind): kind for kind in (EventKind.FIRING, EventKind.RESOLVED, EventKind.SEVERITY_CHANGED)}
_SEVERITIES = {int(severity): severity for severity in Severity}


def alert_to_proto(alert: Alert, now: int) -> pb.Alert:
    """The message of an alert, as it is at `now`."""
    message = pb.Alert()
    _fill_alert(message, alert, now)
    return message


def _fill_alert(message: pb.Alert, alert: Alert, now: int) -> None:
    # Field by field: to construct it with its fields takes three times as long, and every transition does it.
    message.id = alert.id
    message.rule_id = alert.rule_id
    message.title = alert.title
    message.monitor_id = alert.monitor_id
    message.severity = int(alert.severity)  # type: ignore[assignment]
    message.state = pb.ALERT_STATE_FIRING if alert.is_open else pb.ALERT_STATE_RESOLVED
    message.condition_text = alert.condition_text
    if alert.value is not None:
        message.value = alert.value
    _fill_time(message.active_time, alert.episode)
    _fill_time(message.fire_time, alert.fire_time)
    message.resolve_reason = alert.resolve_reason
    message.suppress_reason = alert.suppressed_as(now)
    for texts, given in (
        (message.group, alert.group),
        (message.labels, alert.labels),
        (message.annotations, alert.annotations),
    ):
        for name, text in given.items():
            texts[name] = text
    if alert.resolve_time is not None:
        _fill_time(message.resolve_time, alert.resolve_time)
    if alert.acknowledge_time is not None:
        message.acknowledgement.user = alert.acknowledge_user
        message.acknowledgement.note = alert.acknowledge_note
        _fill_time(message.acknowledgement.time, alert.acknowledge_time)


def _fill_time(message: Timestamp | Duration, nanos: int) -> None:
    message.SetInParent()
    message.seconds, message.nanos = divmod(nanos, SECOND)


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
    message = notification_pb2.Notification()
    message.id = notification.id
    message.tenant_id = alert.tenant
    message.kind = int(event.kind)  # type: ignore[assignment]
    # Whoever reads it, reads it once it was released.
    _fill_alert(message.alert, alert, max(notification.due_time, alert.told_time or 0))
    message.user = event.user
    message.detail = event.detail
    if alert.channels:
        message.channels.extend(alert.channels)
    message.stream_key = alert.stream_key
    _fill_time(message.event_time, event.time)
    _fill_time(message.create_time, event.record_time)
    message.traceparent = alert.traceparent
    if notification.former_severity is not None:
        message.former_severity = int(notification.former_severity)  # type: ignore[assignment]
    if notification.repeat_interval:
        _fill_time(message.repeat_interval, notification.repeat_interval)
    if notification.repeat_after is not None:
        _fill_time(message.repeat_after_time, notification.repeat_after)
    return message.SerializeToString()


def transition_from_proto(message: mesh_pb2.Transition, number: int) -> Transition:
    """A transition, the `number`-th of its request. Raises InvalidField."""
    kind = _TRANSITION_KINDS.get(message.kind)
    tenant, rule_id, monitor_id = message.tenant_id, message.rule_id, message.monitor_id
    if kind is None:
        raise InvalidField(f"transitions[{number}].kind", "must be FIRING, RESOLVED or SEVERITY_CHANGED")
    if not (0 < len(tenant) <= LONGEST_ID and 0 < len(rule_id) <= LONGEST_ID and 0 < len(monitor_id) <= 256):
        raise InvalidField(
            f"transitions[{number}]",
            f"tenant_id, rule_id and monitor_id have {len(tenant)}, {len(rule_id)} and {len(monitor_id)} characters; "
            f"send 1 to {LONGEST_ID}, {LONGEST_ID} and 256",
        )
    group, severity = message.group, int(message.severity)
    return Transition(
        instance=Instance.of(tenant, rule_id, monitor_id, {name: group[name] for name in group}),
        episode=_checked_time(f"transitions[{number}].episode", message.episode),
        kind=kind,
        time=_checked_time(f"transitions[{number}].time_nanos", message.time_nanos),
        value=message.value if message.HasField("value") else None,
        reason=message.reason[:100],
        delay=message.delay_nanos,
        severity=_SEVERITIES.get(severity),
        traceparent=message.traceparent[:100],
    )


def _checked_time(path: str, nanos: int) -> int:
    # Room for a cooldown after it.
    if not 0 <= nanos <= _LATEST_TIME:
        raise InvalidField(path, f"{nanos} is out of bounds; send nanoseconds since 1970")
    return nanos


def result_to_proto(result: Result) -> mesh_pb2.TransitionResult:
    """The message of what was done with a transition."""
    return mesh_pb2.TransitionResult(
        alert_id=result.alert_id,
        outcome=int(result.outcome),  # type: ignore[arg-type]
        episode=result.episode,
    )


def episode_to_proto(episode: Episode) -> mesh_pb2.OpenEpisode:
    """An episode as an evaluator goes on with it."""
    return mesh_pb2.OpenEpisode(
        tenant_id=episode.tenant,
        rule_id=episode.rule_id,
        alert_id=episode.alert_id,
        monitor_id=episode.monitor_id,
        group=episode.group,
        episode=episode.episode,
        fire_time_nanos=episode.fire_time,
        severity=int(episode.severity),  # type: ignore[arg-type]
        severity_time_nanos=episode.severity_time or 0,
    )
