"""A notification is remembered as pieces, of which some are encoded once for many: together they are the whole."""

from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import to_duration, to_timestamp
from monitors.rules.model.alert import Alert, Event, EventKind, Notification
from monitors.rules.model.rule import Severity
from monitors.rules.translate.alerts import alert_to_proto, encode_notification
from monitors.v1 import notification_pb2

texts = st.text(max_size=6, alphabet=st.characters(exclude_categories=["Cs"]))
mappings = st.dictionaries(texts, texts, max_size=3)
times = st.integers(0, 2**61)
severities = st.sampled_from(list(Severity))
alerts = st.builds(
    Alert,
    tenant=texts,
    id=texts,
    rule_id=texts,
    monitor_id=texts,
    group=mappings,
    instance_key=texts,
    episode=times,
    title=texts,
    severity=severities,
    condition_text=texts,
    value=st.none() | st.floats(allow_nan=False),
    fire_time=times,
    record_time=times,
    labels=mappings,
    annotations=mappings,
    channels=st.lists(texts, max_size=3).map(tuple),
    suppress_reason=st.sampled_from(["", "cooldown", "snoozed"]),
    told_time=st.none() | times,
    resolve_time=st.none() | times,
    resolve_reason=texts,
    acknowledge_user=texts,
    acknowledge_time=st.none() | times,
    acknowledge_note=texts,
    traceparent=texts,
)


@st.composite
def notifications(draw: st.DrawFn) -> Notification:
    alert = draw(alerts)
    kind = draw(st.sampled_from(list(EventKind)))
    event = Event(alert.tenant, alert.id, kind, draw(times), draw(times), alert.value, draw(texts), draw(texts))
    former, interval = draw(st.none() | severities), draw(st.integers(0, 2**40))
    after, traceparent = draw(st.none() | times), draw(texts)
    return Notification(draw(texts), event, alert, draw(times), former, interval, after, traceparent)


@given(notifications())
def test_the_pieces_of_a_notification_are_the_whole(notification: Notification) -> None:
    event, alert = notification.event, notification.alert
    whole = notification_pb2.Notification(
        id=notification.id,
        tenant_id=alert.tenant,
        kind=int(event.kind),  # type: ignore[arg-type]
        alert=alert_to_proto(alert, max(notification.due_time, alert.told_time or 0)),
        user=event.user,
        detail=event.detail,
        channels=alert.channels,
        stream_key=alert.stream_key,
        event_time=to_timestamp(event.time),
        create_time=to_timestamp(event.record_time),
        traceparent=notification.traceparent,
    )
    if notification.former_severity is not None:
        whole.former_severity = int(notification.former_severity)  # type: ignore[assignment]
    if notification.repeat_interval:
        whole.repeat_interval.CopyFrom(to_duration(notification.repeat_interval))
    if notification.repeat_after is not None:
        whole.repeat_after_time.CopyFrom(to_timestamp(notification.repeat_after))
    assert notification_pb2.Notification.FromString(encode_notification(notification)) == whole


def test_an_alert_that_is_closed_differs_in_its_end_alone() -> None:
    alert = Alert(
        "t", "a", "r", "m", {}, "k", 1, "title", Severity.HIGH, "v > 1", 2.0, 3, 4, {}, {}, (), "cooldown", 5,
        acknowledge_user="u", acknowledge_time=6, acknowledge_note="n", traceparent="p", severity_time=7,
    )  # fmt: skip
    expected = alert._replace(resolve_time=8, resolve_reason="condition", told_time=None)
    assert alert.closed(8, "condition", None) == expected
