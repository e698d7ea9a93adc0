"""Between the contract's messages and the model."""

from collections.abc import Mapping, Sequence

from monitors.mesh.errors import InvalidField
from monitors.mesh.quantities import format_duration
from monitors.mesh.secrets import Sealer
from monitors.mesh.times import SECOND, from_duration, from_timestamp, to_duration, to_timestamp
from monitors.notifier.groupings import from_grouping, read_grouping
from monitors.notifier.kinds import KINDS
from monitors.notifier.model.bundle import Content, put_together
from monitors.notifier.model.channel import Change, Channel
from monitors.notifier.model.checks import Policy, keep_former, shorten
from monitors.notifier.model.delivery import Arrival
from monitors.notifier.model.heartbeats import check_heartbeat
from monitors.notifier.model.message import ABOUT_NO_ALERT, Escalation, Kind, Message, Severity, message_id
from monitors.notifier.model.notices import Notice
from monitors.notifier.model.targets import (
    AppriseTarget,
    DiscordTarget,
    EmailTarget,
    PagerDutyTarget,
    SlackTarget,
    Target,
    TeamsTarget,
    WebhookTarget,
    display_url,
    url_of,
)
from monitors.notifier.model.verification import standing_words
from monitors.notifier.store.log import Attempt, Delivery
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2
from monitors.v1 import notification_pb2 as pb
from monitors.v1.notifier_service_pb2 import UpdateChannelRequest

KNOWN_KINDS = frozenset(field.name for field in pb.Channel.DESCRIPTOR.oneofs_by_name["kind"].fields)
TEMPLATES = ("title_template", "body_template")
PLAIN_FIELDS = ("name", "is_default", "send_resolved", "heartbeat_interval", "grouping", *TEMPLATES)
KNOWN_EVENTS = frozenset(map(int, Kind)) - {int(Kind.STILL_FIRING), int(Kind.ESCALATED), *map(int, ABOUT_NO_ALERT)}
SEVERITIES = {int(severity): severity for severity in Severity}
PLAIN_HTTP = "the endpoint is reached over plain http, so anybody on the way can read the alerts"


def read_target(channel: pb.Channel, policy: Policy, current: Target | None = None) -> Target:
    """The target of a channel that is made, or changed from `current`, which lends what is left empty."""
    name = channel.WhichOneof("kind")
    if name is None:
        raise InvalidField("channel.kind", f"no kind is set; set one of {', '.join(KINDS)}")
    return KINDS[name].read(getattr(channel, name), policy, current)


def read_change(request: UpdateChannelRequest, current: Channel, policy: Policy, now: int) -> Change:
    """What an update at `now` changes. Raises InvalidField for an unknown path."""
    sent = request.channel
    kind = sent.WhichOneof("kind")
    paths = set(request.update_mask.paths) or {
        path
        for path, is_set in (
            ("name", bool(sent.name)),
            ("is_default", sent.is_default),
            ("send_resolved", sent.HasField("send_resolved")),
            ("heartbeat_interval", sent.HasField("heartbeat_interval")),
            ("grouping", sent.HasField("grouping")),
            ("title_template", sent.HasField("title_template")),
            ("body_template", sent.HasField("body_template")),
            (kind or "", kind is not None),
        )
        if is_set
    }
    kinds = {path.partition(".")[0] for path in paths if path not in PLAIN_FIELDS}
    for path in sorted(kinds - KNOWN_KINDS):
        raise InvalidField(
            "update_mask",
            f"{shorten(path)!r} can't be changed; name some of is_default, send_resolved, heartbeat_interval, "
            f"grouping, title_template, body_template, webhook.url, webhook.secret, {', '.join(KINDS)}",
        )
    if "name" in paths and sent.name != current.name:
        raise InvalidField(
            "channel.name",
            "a channel can't be renamed, as rules refer to it by name; make a new one and delete this",
        )
    if kinds and kinds != {kind}:
        raise InvalidField("update_mask", f"it names {', '.join(sorted(kinds))}, but {kind} is what is sent")
    return Change(
        target=_read_changed(sent, policy, current.target, now) if kinds else None,
        is_default=sent.is_default if "is_default" in paths else None,
        send_resolved=(sent.send_resolved if sent.HasField("send_resolved") else True)
        if "send_resolved" in paths
        else None,
        heartbeat_interval=check_heartbeat(from_duration(sent.heartbeat_interval))
        if "heartbeat_interval" in paths
        else None,
        grouping=read_grouping(sent.grouping, kind or current.kind) if "grouping" in paths else None,
        title_template=sent.title_template if "title_template" in paths else None,
        body_template=sent.body_template if "body_template" in paths else None,
    )


def _read_changed(sent: pb.Channel, policy: Policy, current: Target, now: int) -> Target:
    target = read_target(sent, policy, current)
    if isinstance(target, WebhookTarget) and isinstance(current, WebhookTarget):
        kept = sent.webhook.keep_former_secret
        keep = from_duration(kept) if sent.webhook.HasField("keep_former_secret") else None
        return keep_former(target, current, keep, now)
    return target


def warn(channel: Channel) -> list[str]:
    """What the maker of a channel should know."""
    plain = [PLAIN_HTTP] if url_of(channel.target).startswith("http:") else []
    return [*plain, *standing_words(channel.target, channel.name)]


def from_channel(channel: Channel, sealer: Sealer) -> pb.Channel:
    """The channel with its secrets removed."""
    message = pb.Channel(
        id=channel.id,
        name=channel.name,
        is_default=channel.is_default,
        send_resolved=channel.send_resolved,
        disabled_reason=channel.unusable_reason,
        create_time=to_timestamp(channel.create_time),
        etag=channel.etag,
        heartbeat_interval=to_duration(channel.heartbeat_interval) if channel.heartbeat_interval else None,
        grouping=from_grouping(channel.grouping),
        title_template=channel.title_template or None,
        body_template=channel.body_template or None,
    )
    match channel.target:
        case WebhookTarget(url, secret, former, until):
            message.webhook.url = display_url(url)
            message.webhook.secret_fingerprint = sealer.fingerprint(secret)
            if former:
                message.webhook.former_secret_fingerprint = sealer.fingerprint(former)
                message.webhook.former_secret_expire_time.CopyFrom(to_timestamp(until))
        case EmailTarget(addresses, waiting, unsubscribed):
            message.email.addresses.extend(addresses)
            message.email.waiting_addresses.extend(waiting)
            message.email.unsubscribed_addresses.extend(unsubscribed)
        case SlackTarget(url) | DiscordTarget(url) | TeamsTarget(url):
            getattr(message, channel.kind).fingerprint = sealer.fingerprint(url)
        case AppriseTarget(url):
            message.apprise.service = channel.target.service
            message.apprise.fingerprint = sealer.fingerprint(url)
        case PagerDutyTarget(routing_key, events_url):
            message.pager_duty.fingerprint = sealer.fingerprint(routing_key)
            message.pager_duty.events_url = events_url
        case _:
            getattr(message, channel.kind).SetInParent()
    return message


def to_arrival(notification: pb.Notification) -> Arrival | None:
    """A notification from RuleService; None if it's of a kind that this version doesn't know."""
    return _arrival(notification) if int(notification.kind) in KNOWN_EVENTS else None


def repeat_of(now: int, payload: bytes, number: int, severity: int) -> Arrival:
    """What tells again, at `now`, an alert that was told before, or with the number 0 for the first time one that was
    muted; `payload` is the notification as it was told then, or would have been.

    It has the place of what it repeats in their stream: before all that comes later.
    """
    notification = _anew(now, payload, severity)
    notification.id = f"{notification.id}_{number}"
    notification.kind = alert_pb2.ALERT_EVENT_KIND_STILL_FIRING if number else alert_pb2.ALERT_EVENT_KIND_FIRING
    notification.repeat_number = number
    if number:
        # It may go on for weeks, which no trace should.
        notification.ClearField("traceparent")
    return _arrival(notification)


def escalation_of(now: int, payload: bytes, number: int, severity: int, escalation: Escalation) -> Arrival:
    """What tells others, at `now`, of an alert that nobody has acknowledged: the `number`-th that was made of that, of
    the notification that said so. In their streams it has the place of that: before all that comes later."""
    notification = _anew(now, payload, severity)
    notification.id = f"{notification.id}_e{number}"
    notification.kind = alert_pb2.ALERT_EVENT_KIND_ESCALATED
    notification.escalation.CopyFrom(
        pb.Escalation(
            policy=escalation.policy,
            step=escalation.step,
            step_count=escalation.step_count,
            unacknowledged_duration=to_duration(escalation.unacknowledged),
            told_before=escalation.told_before,
        )
    )
    return _arrival(notification)


def _anew(now: int, payload: bytes, severity: int) -> pb.Notification:
    """What was told before, to be told at `now` as it is by now."""
    notification = pb.Notification.FromString(payload)
    notification.alert.severity = rule_pb2.Severity.ValueType(severity)
    for field in ("former_severity", "detail", "user"):
        notification.ClearField(field)
    notification.event_time.CopyFrom(to_timestamp(now))
    notification.create_time.CopyFrom(to_timestamp(now))
    return notification


def notice_to_arrival(now: int, notice: Notice) -> Arrival:
    """What the notifier says of itself at `now`."""
    notification = pb.Notification(
        id=notice.id,
        tenant_id=notice.tenant,
        kind=alert_pb2.ALERT_EVENT_KIND_NOTICE,
        alert=alert_pb2.Alert(title=notice.title, severity=rule_pb2.Severity.ValueType(notice.severity)),
        detail=notice.text,
        stream_key=notice.id,
        sequence=now,
        event_time=to_timestamp(now),
        create_time=to_timestamp(now),
    )
    return _arrival(notification)


def heartbeat_to_arrival(now: int, channel: Channel) -> Arrival:
    """What tells a channel at `now` that the mesh is alive, and when the next one comes."""
    identifier = f"beat_{channel.id}_{now // SECOND}"
    every = format_duration(channel.heartbeat_interval)
    text = f"Rules are evaluated and messages are sent. This comes every {every}: if it doesn't, something is wrong."
    notification = pb.Notification(
        id=identifier,
        tenant_id=channel.tenant,
        kind=alert_pb2.ALERT_EVENT_KIND_HEARTBEAT,
        alert=alert_pb2.Alert(title="The mesh is alive", severity=rule_pb2.SEVERITY_CRITICAL),
        detail=text,
        stream_key=identifier,
        sequence=now,
        event_time=to_timestamp(now),
        create_time=to_timestamp(now),
        repeat_interval=to_duration(channel.heartbeat_interval),
    )
    return _arrival(notification)


def _arrival(notification: pb.Notification) -> Arrival:
    alert = notification.alert
    return Arrival(
        tenant=notification.tenant_id,
        notification_id=notification.id,
        alert_id=alert.id,
        kind=Kind(notification.kind),
        severity=int(_severity(alert.severity)),
        channels=tuple(notification.channels),
        stream_key=notification.stream_key,
        sequence=notification.sequence,
        payload=notification.SerializeToString(),
        repeat_interval=from_duration(notification.repeat_interval),
        repeat_after=from_timestamp(notification.repeat_after_time),
        former_severity=int(notification.former_severity),
        is_acknowledged=alert.HasField("acknowledgement"),
        rule_id=alert.rule_id,
        monitor_id=alert.monitor_id,
        title=alert.title,
        labels={**_texts(alert.labels), **_texts(alert.group)},
    )


def content_of(payloads: Sequence[bytes], channel_id: str, message_id: str, *, is_digest: bool) -> Content:
    """What one message to a channel says, from notifications as they were stored, in the order of their sequence."""
    if len(payloads) == 1:
        return message_from_payload(payloads[0], channel_id)
    return put_together(
        message_id, [message_from_payload(payload, channel_id) for payload in payloads], is_digest=is_digest
    )


def message_from_payload(payload: bytes, channel_id: str) -> Message:
    """What is told to a channel, from the notification as it was stored."""
    notification = pb.Notification.FromString(payload)
    alert = notification.alert
    return Message(
        id=message_id(notification.id, channel_id),
        kind=Kind(notification.kind),
        title=alert.title,
        severity=_severity(alert.severity),
        former_severity=_severity(notification.former_severity) if notification.former_severity else None,
        notification_id=notification.id,
        alert_id=alert.id,
        rule_id=alert.rule_id,
        monitor_id=alert.monitor_id,
        group=_texts(alert.group),
        condition=alert.condition_text,
        value=alert.value if alert.HasField("value") else None,
        active_time=from_timestamp(alert.active_time),
        fire_time=from_timestamp(alert.fire_time),
        resolve_time=from_timestamp(alert.resolve_time),
        resolve_reason=alert.resolve_reason,
        event_time=from_timestamp(notification.event_time),
        create_time=from_timestamp(notification.create_time),
        sequence=notification.sequence,
        repeat_number=notification.repeat_number,
        escalation=_escalation(notification.escalation) if notification.HasField("escalation") else None,
        interval=from_duration(notification.repeat_interval),
        user=notification.user,
        note=notification.detail,
        labels=_texts(alert.labels),
        annotations=_texts(alert.annotations),
        traceparent=notification.traceparent,
    )


def _escalation(sent: pb.Escalation) -> Escalation:
    return Escalation(
        policy=sent.policy,
        step=sent.step,
        step_count=sent.step_count,
        unacknowledged=from_duration(sent.unacknowledged_duration),
        told_before=tuple(sent.told_before),
    )


def _severity(number: int) -> Severity:
    return SEVERITIES.get(number, Severity.MEDIUM)


def _texts(sent: Mapping[str, str]) -> dict[str, str]:
    """A map of the contract, of which most are empty."""
    return dict(sent.items()) if sent else {}


def from_attempt(attempt: Attempt) -> pb.DeliveryAttempt:
    """One attempt of a delivery."""
    return pb.DeliveryAttempt(
        start_time=to_timestamp(attempt.started_at),
        end_time=to_timestamp(attempt.ended_at),
        outcome=pb.DeliveryOutcome.ValueType(attempt.outcome),
        detail=attempt.detail,
        status=attempt.status,
    )


def from_delivery(delivery: Delivery) -> pb.Delivery:
    """A delivery as the log shows it."""
    return pb.Delivery(
        id=delivery.id,
        notification_id=delivery.notification_id,
        alert_id=delivery.alert_id,
        channel=delivery.channel_name,
        kind=alert_pb2.AlertEventKind.ValueType(delivery.kind),
        state=alert_pb2.DeliveryState.ValueType(delivery.state),
        attempts=[from_attempt(attempt) for attempt in delivery.attempts],
        next_attempt_time=to_timestamp(delivery.next_at) if delivery.next_at else None,
        create_time=to_timestamp(delivery.created_at),
        update_time=to_timestamp(delivery.updated_at),
        attempt_count=delivery.attempt_count,
        detail=delivery.detail,
        message_id=delivery.message_id,
        escalation=pb.Notification.FromString(delivery.escalation).escalation if delivery.escalation else None,
    )


def to_report(delivery: Delivery) -> mesh_pb2.DeliveryReport:
    """What RuleService should know of a delivery."""
    return mesh_pb2.DeliveryReport(
        tenant_id=delivery.tenant,
        alert_id=delivery.alert_id,
        delivery=alert_pb2.AlertDelivery(
            notification_id=delivery.notification_id,
            channel=delivery.channel_name,
            kind=alert_pb2.AlertEventKind.ValueType(delivery.kind),
            state=alert_pb2.DeliveryState.ValueType(delivery.state),
            attempt_count=delivery.attempt_count,
            detail=delivery.detail,
            time=to_timestamp(delivery.updated_at),
        ),
    )
