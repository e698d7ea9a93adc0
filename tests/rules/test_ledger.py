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
    levels = frozenset({Severity.HIGH, Severity.CRITICAL})
    return RuleFacts("t", Severity.LOW, "x > 1", {}, {}, (), COOLDOWN, snooze_until, levels)


def told_by(ledger: Ledger) -> list[tuple[EventKind, int]]:
    """What is told: the notifications that were not suppressed, of alerts that are over."""
    silent = {held.alert_id for held in ledger.suppressed}
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
        lambda group, episode, kind, delay, severity: Transition(
            Instance.of("t", "rule_1", "m", {"n": str(group)}), episode, kind, episode + delay, severity=severity
        ),
        st.integers(0, 2),
        st.integers(0, 20),
        st.sampled_from([EventKind.FIRING, EventKind.RESOLVED, EventKind.SEVERITY_CHANGED]),
        st.integers(0, 5),
        st.sampled_from(Severity),
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
        own = [event for event in ledger.events if event.alert_id == alert.id]
        turns = [event.time for event in own if event.kind is EventKind.SEVERITY_CHANGED]
        assert turns == sorted(turns)
        assert alert.severity_time == (turns[-1] if turns else None)
        kinds = [event.kind for event in own if event.kind is not EventKind.SEVERITY_CHANGED]
        assert kinds == ([EventKind.FIRING] if alert.is_open else [EventKind.FIRING, EventKind.RESOLVED])
        assert alert.is_open or (alert.resolve_time or 0) >= alert.fire_time


def told_of_level(told: int, snooze_until: int, now: int, severity: Severity) -> list[tuple[str, int, str]]:
    """What is told, and due when, of an alert at HIGH that fires at 105 and changes its level at 107."""
    instance = Instance.of("t", "rule_1", "m", {})
    known = Known(rules={("t", "rule_1"): facts(snooze_until)}, told={("t", instance.key): told} if told else {})
    ledger = Ledger(known, now)
    ledger.apply(Transition(instance, 105, EventKind.FIRING, 105, severity=Severity.HIGH))
    ledger.apply(Transition(instance, 105, EventKind.SEVERITY_CHANGED, 107, severity=severity))
    moved = {held.alert_id: due for held, due in ledger.rescheduled}
    return [
        (each.event.kind.name, moved.get(each.alert.id, each.due_time), each.event.detail)
        for each in ledger.notifications
        if each.event not in ledger.untold
    ]


def test_that_it_got_worse_is_told_and_that_it_got_better_is_not() -> None:
    fired = ("FIRING", 105, "")
    assert told_of_level(0, 0, 107, Severity.CRITICAL) == [fired, ("SEVERITY_CHANGED", 107, "high → critical")]
    assert told_of_level(0, 0, 107, Severity.LOW) == [fired]


def test_that_it_got_worse_ends_what_a_cooldown_held_back_but_no_snooze() -> None:
    worse = "high → critical"
    assert told_of_level(100, 0, 107, Severity.CRITICAL) == [("FIRING", 107, ""), ("SEVERITY_CHANGED", 107, worse)]
    assert told_of_level(0, 900, 107, Severity.CRITICAL) == [("FIRING", 900, ""), ("SEVERITY_CHANGED", 900, worse)]


def test_a_level_that_the_rule_has_no_more_is_the_rules_own() -> None:
    assert facts(0).severity_of(Severity.MEDIUM) is Severity.LOW
    assert facts(0).severity_of(None) is Severity.LOW


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
