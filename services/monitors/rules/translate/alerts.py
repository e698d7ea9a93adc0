"""Alert, notification and transition messages and the model's values."""

from collections.abc import Iterable, Mapping
from functools import lru_cache

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from monitors.mesh.errors import InvalidField
from monitors.mesh.times import DAY, SECOND, from_timestamp, to_timestamp
from monitors.rules.model.alert import Alert, Delivery, Episode, Event, EventKind, Instance, Notification
from monitors.rules.model.episodes import Result, Transition
from monitors.rules.model.rule import LONGEST_TIME, Severity
from monitors.rules.model.texts import Texts, mapping_json
from monitors.v1 import alert_pb2 as pb
from monitors.v1 import mesh_pb2, notification_pb2
from monitors.v1 import rule_service_pb2 as pb_rules

LONGEST_DETAIL = 4000
LONGEST_ID = 40
_LATEST_TIME = LONGEST_TIME - 7 * DAY
_TRANSITION_KINDS = {int(kind): kind for kind in (EventKind.FIRING, EventKind.RESOLVED, EventKind.SEVERITY_CHANGED)}
_SEVERITIES = {int(severity): severity for severity in Severity}


def alert_to_proto(alert: Alert, now: int) -> pb.Alert:
    """The message of an alert, as it is at `now`."""
    message = pb.Alert()
    _fill_from_rule(message, alert.title, alert.condition_text, alert.labels, alert.annotations)
    _fill_times(message, alert.episode, alert.fire_time, alert.resolve_time)
    _fill_own(message, alert, now)
    return message


# Field by field: to construct it with its fields takes three times as long, and every transition does it.


def _fill_from_rule(
    message: pb.Alert, title: str, condition_text: str, labels: Mapping[str, str], annotations: Mapping[str, str]
) -> None:
    """What an alert has in common with others of its rule."""
    message.title, message.condition_text = title, condition_text
    for texts, given in ((message.labels, labels), (message.annotations, annotations)):
        for name, text in given.items():
            texts[name] = text


def _fill_times(message: pb.Alert, episode: int, fire_time: int, resolve_time: int | None) -> None:
    """What it has in common with those that fire at the same time."""
    _fill_time(message.active_time, episode)
    _fill_time(message.fire_time, fire_time)
    if resolve_time is not None:
        _fill_time(message.resolve_time, resolve_time)


def _fill_own(message: pb.Alert, alert: Alert, now: int) -> None:
    """What it has in common with none."""
    message.id = alert.id
    message.rule_id = alert.rule_id
    message.monitor_id = alert.monitor_id
    message.severity = int(alert.severity)  # type: ignore[assignment]
    message.state = pb.ALERT_STATE_FIRING if alert.resolve_time is None else pb.ALERT_STATE_RESOLVED
    if alert.value is not None:
        message.value = alert.value
    if alert.resolve_reason:
        message.resolve_reason = alert.resolve_reason
    if alert.suppress_reason:
        message.suppress_reason = alert.suppressed_as(now)
    if alert.group:
        texts = message.group
        for name, text in alert.group.items():
            texts[name] = text
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
    time = from_timestamp(message.time)
    check_time("reports.delivery.time", time)
    return Delivery(
        notification_id=message.notification_id,
        channel=message.channel,
        kind=message.kind,
        state=message.state,
        attempt_count=message.attempt_count,
        detail=message.detail[:LONGEST_DETAIL],
        time=time,
    )


def encode_notification(notification: Notification) -> bytes:
    """A notification as it's remembered: all but its sequence.

    Several messages behind one another are one message with the fields of all, those of the alert within it as well. So
    what notifications have in common is encoded once.
    """
    event, alert = notification.event, notification.alert
    from_rule = _encode_from_rule(
        alert.title, alert.condition_text, mapping_json(alert.labels), mapping_json(alert.annotations), alert.channels
    )
    times = _encode_times(
        alert.episode, alert.fire_time, alert.resolve_time, event.time, event.record_time, notification.repeat_interval
    )
    return from_rule + times + _encode_own(notification)


@lru_cache(maxsize=16_384)
def _encode_from_rule(
    title: str, condition_text: str, labels: str, annotations: str, channels: tuple[str, ...]
) -> bytes:
    message = notification_pb2.Notification(channels=channels)
    _fill_from_rule(message.alert, title, condition_text, Texts(labels), Texts(annotations))
    return message.SerializeToString()


@lru_cache(maxsize=1024)
def _encode_times(
    episode: int, fire_time: int, resolve_time: int | None, time: int, record_time: int, repeat_interval: int
) -> bytes:
    message = notification_pb2.Notification()
    _fill_times(message.alert, episode, fire_time, resolve_time)
    _fill_time(message.event_time, time)
    _fill_time(message.create_time, record_time)
    if repeat_interval:
        _fill_time(message.repeat_interval, repeat_interval)
    return message.SerializeToString()


def _encode_own(notification: Notification) -> bytes:
    event, alert = notification.event, notification.alert
    message = notification_pb2.Notification()
    message.id = notification.id
    message.tenant_id = alert.tenant
    message.kind = int(event.kind)  # type: ignore[assignment]
    # Whoever reads it, reads it once it was released.
    _fill_own(message.alert, alert, max(notification.due_time, alert.told_time or 0))
    message.stream_key = alert.stream_key
    if event.user:
        message.user = event.user
    if event.detail:
        message.detail = event.detail
    if notification.traceparent:
        message.traceparent = notification.traceparent
    if notification.former_severity is not None:
        message.former_severity = int(notification.former_severity)  # type: ignore[assignment]
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
    group, episode, time = message.group, message.episode, message.time_nanos
    if not (0 <= episode <= _LATEST_TIME and 0 <= time <= _LATEST_TIME):
        check_time(f"transitions[{number}].episode", episode)
        check_time(f"transitions[{number}].time_nanos", time)
    # In order: every transition is read here, and to name the fields takes longer than to make it.
    return Transition(
        Instance.of(tenant, rule_id, monitor_id, {name: group[name] for name in group}),
        episode,
        kind,
        time,
        message.value if message.HasField("value") else None,
        message.reason[:100],
        message.delay_nanos,
        _SEVERITIES.get(message.severity),
        message.traceparent[:100],
    )


def check_time(path: str, nanos: int) -> None:
    """Raises InvalidField for nanoseconds since 1970 that no clock shows, and no database keeps."""
    # Room for a cooldown after it.
    if not 0 <= nanos <= _LATEST_TIME:
        raise InvalidField(path, f"{nanos} is out of bounds; send nanoseconds since 1970")


def results_to_proto(results: Iterable[Result]) -> pb_rules.RecordTransitionsResponse:
    """The message of what was done with transitions."""
    answer = pb_rules.RecordTransitionsResponse()
    for result in results:
        message = answer.results.add()
        message.alert_id = result.alert_id
        message.outcome = int(result.outcome)  # type: ignore[assignment]
        if result.episode:
            message.episode = result.episode
    return answer


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
