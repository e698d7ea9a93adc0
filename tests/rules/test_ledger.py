"""The decisions about episodes, against a slow and obvious model: whatever comes, in whatever batches."""

from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from monitors.rules.model.alert import EventKind, Instance
from monitors.rules.model.episodes import Known, Ledger, Outcome, RuleFacts, Transition
from monitors.rules.model.rule import Severity

COOLDOWN = 10


@dataclass
class Oracle:
    """One instance, told in plain words: what is told to people about it."""

    open_since: int | None = None
    told_at: int | None = None
    last_told: int | None = None
    told: list[tuple[EventKind, int]] = field(default_factory=list)

    def fire(self, time: int, snooze_until: int) -> None:
        if self.open_since is not None:
            return
        self.open_since = self.told_at = time
        if self.last_told is not None and self.last_told + COOLDOWN > time:
            self.told_at = self.last_told + COOLDOWN
        if snooze_until > self.told_at:
            self.told_at = snooze_until

    def resolve(self, time: int) -> None:
        if self.open_since is None or time < self.open_since:
            return
        assert self.told_at is not None
        if self.told_at <= time:
            self.told += [(EventKind.FIRING, self.told_at), (EventKind.RESOLVED, time)]
            self.last_told = self.told_at
        self.open_since = self.told_at = None


def facts(snooze_until: int) -> RuleFacts:
    return RuleFacts("t", Severity.LOW, "x > 1", {}, {}, (), COOLDOWN, snooze_until)


def told_by(ledger: Ledger) -> list[tuple[EventKind, int]]:
    """What is told: the notifications that were not suppressed, of alerts that are over."""
    silent = {alert_id for _, alert_id in ledger.suppressed}
    over = {alert.id for alert in ledger.opened.values() if not alert.is_open}
    return [
        (each.event.kind, each.alert.told_time or 0 if each.event.kind is EventKind.FIRING else each.event.time)
        for each in ledger.notifications
        if each.alert.id in over - silent
    ]


@given(st.lists(st.tuples(st.integers(1, 9), st.booleans()), max_size=25), st.integers(0, 60))
def test_what_is_told_is_what_the_plain_model_tells(steps: list[tuple[int, bool]], snooze_until: int) -> None:
    instance = Instance.of("t", "rule_1", "m", {"a": "b"})
    ledger = Ledger(Known(rules={("t", "rule_1"): facts(snooze_until)}), now=1_000_000)
    oracle, time = Oracle(), 0
    for step, is_firing in steps:
        time += step
        if is_firing:
            ledger.apply(Transition(instance, time, EventKind.FIRING, time))
            oracle.fire(time, snooze_until)
        else:
            ledger.apply(Transition(instance, time, EventKind.RESOLVED, time))
            oracle.resolve(time)
    assert told_by(ledger) == oracle.told
    assert sum(alert.is_open for alert in ledger.opened.values()) == (oracle.open_since is not None)


transitions = st.lists(
    st.builds(
        lambda group, episode, kind, delay: Transition(
            Instance.of("t", "rule_1", "m", {"n": str(group)}), episode, kind, episode + delay
        ),
        st.integers(0, 2),
        st.integers(0, 20),
        st.sampled_from([EventKind.FIRING, EventKind.RESOLVED]),
        st.integers(0, 5),
    ),
    max_size=30,
)


@given(transitions)
def test_a_batch_that_is_sent_again_changes_nothing(batch: list[Transition]) -> None:
    ledger = Ledger(Known(rules={("t", "rule_1"): facts(0)}), now=1_000)
    first = [ledger.apply(each) for each in batch]
    before = (dict(ledger.opened), len(ledger.events), len(ledger.notifications))
    recorded = [(each, result) for each, result in zip(batch, first, strict=True) if result.outcome is Outcome.RECORDED]
    for each, result in recorded:
        assert ledger.apply(each) == type(result)(Outcome.REPEATED, result.alert_id)
    assert (dict(ledger.opened), len(ledger.events), len(ledger.notifications)) == before


@given(transitions)
def test_an_instance_has_one_open_alert_at_most_and_events_in_pairs(batch: list[Transition]) -> None:
    ledger = Ledger(Known(rules={("t", "rule_1"): facts(0)}), now=1_000)
    for each in batch:
        ledger.apply(each)
        firing = [alert.instance_key for alert in ledger.opened.values() if alert.is_open]
        assert len(firing) == len(set(firing))
    for alert in ledger.opened.values():
        kinds = [event.kind for event in ledger.events if event.alert_id == alert.id]
        assert kinds == ([EventKind.FIRING] if alert.is_open else [EventKind.FIRING, EventKind.RESOLVED])
        assert alert.is_open or (alert.resolve_time or 0) >= alert.fire_time


def test_a_message_that_went_out_during_the_hold_is_followed_by_its_end() -> None:
    instance = Instance.of("t", "rule_1", "m", {})
    known = Known(rules={("t", "rule_1"): facts(0)}, told={("t", instance.key): 100})
    ledger = Ledger(known, now=108)
    held = ledger.apply(Transition(instance, 105, EventKind.FIRING, 105)).alert_id
    assert (ledger.opened[held].told_time, ledger.notifications[0].due_time) == (110, 110)
    # The notifier took it at 110; that it had been over at 109 is learned later.
    later = Ledger(Known(open={("t", instance.key): ledger.opened[held]}, released={held}), now=120)
    later.apply(Transition(instance, 105, EventKind.RESOLVED, 109))
    assert [each.event.kind for each in later.notifications] == [EventKind.RESOLVED]
    assert later.suppressed == []
