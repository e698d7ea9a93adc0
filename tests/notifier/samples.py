"""Messages that tests let channels tell: those that people read, and any whatever."""

from dataclasses import replace

from hypothesis import strategies as st

from monitors.mesh.times import SECOND
from monitors.notifier.model.bundle import Bundle, Content, put_together
from monitors.notifier.model.message import Escalation, Kind, Message, Severity, message_of_test

NOW = 1_795_442_602 * SECOND  # 2026-11-23 14:03:22 UTC
FIRING = Message(
    id="note_1_chan_1",
    kind=Kind.FIRING,
    title="Checkout is slow",
    severity=Severity.CRITICAL,
    notification_id="note_1",
    alert_id="alert_7k2m9x4cqv0d",
    rule_id="rule_1",
    monitor_id="mon_checkout",
    group={"region": "eu"},
    condition="avg(response_time, 5m) > 500 for 2m",
    value=731.456789,
    active_time=NOW - 125 * SECOND,
    fire_time=NOW - 5 * SECOND,
    event_time=NOW - 5 * SECOND,
    create_time=NOW - 5 * SECOND,
    sequence=7,
    annotations={"summary": "Customers wait", "runbook_url": "https://example.org/run?a=1&b=2"},
)

AGAIN = FIRING.fire_time + 15_125 * SECOND
STILL_FIRING = replace(FIRING, kind=Kind.STILL_FIRING, event_time=AGAIN, create_time=AGAIN, repeat_number=2)
ESCALATED = replace(FIRING, kind=Kind.SEVERITY_CHANGED, former_severity=Severity.HIGH)

UNACKNOWLEDGED_TIME = FIRING.fire_time + 900 * SECOND
UNACKNOWLEDGED = replace(
    FIRING,
    kind=Kind.ESCALATED,
    event_time=UNACKNOWLEDGED_TIME,
    create_time=UNACKNOWLEDGED_TIME,
    escalation=Escalation("on call", 2, 3, 901 * SECOND, ("ops-slack", "ops-mail")),
)

texts = st.text(max_size=300) | st.text(min_size=1, max_size=3).map(lambda text: text * 3000)
RESOLVED = replace(
    FIRING,
    kind=Kind.RESOLVED,
    resolve_time=FIRING.fire_time + 754 * SECOND,
    event_time=FIRING.fire_time + 754 * SECOND,
    create_time=FIRING.fire_time + 754 * SECOND,
    resolve_reason="condition",
    value=212.5,
    sequence=9,
)
ACKNOWLEDGED = replace(FIRING, kind=Kind.ACKNOWLEDGED, user="ann", note="I restart the pool", sequence=8)
TEST = message_of_test("test_1", "ops", NOW)
OTHER = replace(
    FIRING,
    alert_id="alert_0000000000zz",
    rule_id="rule_2",
    title="Disk is full",
    severity=Severity.MEDIUM,
    monitor_id="mon_db",
    group={"device": "sda1"},
    sequence=3,
)
_DIGEST = put_together("digest_1_chan_1", [FIRING, OTHER, RESOLVED], is_digest=True)
assert isinstance(_DIGEST, Bundle)
DIGEST = _DIGEST
TOLD: dict[str, Content] = {
    "firing": FIRING,
    "acknowledged": ACKNOWLEDGED,
    "resolved": RESOLVED,
    "fired and recovered": replace(RESOLVED, fired_too=True),
    "escalated": ESCALATED,
    "still firing": STILL_FIRING,
    "not acknowledged": UNACKNOWLEDGED,
    "digest": DIGEST,
    "test": TEST,
}
"""What people are told, by what it is."""

maps = st.dictionaries(texts, texts, max_size=8)
messages = st.builds(
    Message,
    id=st.just("note_1_chan_1"),
    kind=st.sampled_from([kind for kind in Kind if kind is not Kind.REPEAT_CHANGED]),
    title=texts,
    severity=st.sampled_from(list(Severity)),
    former_severity=st.none() | st.sampled_from(list(Severity)),
    alert_id=st.just("alert_1"),
    rule_id=st.sampled_from(["rule_1", "rule_2"]),
    sequence=st.integers(0, NOW),
    monitor_id=texts,
    group=maps,
    condition=texts,
    value=st.none() | st.floats(),
    active_time=st.integers(0, NOW),
    fire_time=st.integers(0, NOW),
    resolve_time=st.integers(0, NOW),
    resolve_reason=texts,
    event_time=st.integers(0, NOW),
    create_time=st.integers(0, NOW),
    fired_too=st.booleans(),
    escalation=st.none()
    | st.builds(
        Escalation, texts, st.integers(1, 5), st.integers(1, 5), st.integers(0, NOW), st.lists(texts).map(tuple)
    ),
    user=texts,
    note=texts,
    labels=maps,
    annotations=maps | st.builds(lambda url, text: {"runbook_url": f"https://{url}", "summary": text}, texts, texts),
)
bundles = st.lists(messages, min_size=2, max_size=40).map(
    lambda news: put_together(
        "set_1_chan_1", [replace(one, alert_id=f"alert_{number}") for number, one in enumerate(news)]
    )
)
contents: st.SearchStrategy[Content] = messages | bundles
