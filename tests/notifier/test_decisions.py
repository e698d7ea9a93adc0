"""What follows from an attempt, and who is told of a notification."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND
from monitors.notifier.channels.http import parse_retry_after
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import (
    UNFINISHED,
    Arrival,
    Outcome,
    OutcomeKind,
    State,
    decide,
    never_told,
    plan,
    schedule_of,
)
from monitors.notifier.model.message import Kind
from monitors.notifier.model.targets import ConsoleTarget, EmailTarget

NOW = 1_800_000_000 * SECOND
RETRIED = [OutcomeKind.RETRYABLE, OutcomeKind.THROTTLED, OutcomeKind.AMBIGUOUS]
kinds = st.sampled_from(["webhook", "email", "slack", "console"])


@given(
    outcome=st.sampled_from(list(OutcomeKind)),
    kind=kinds,
    attempt=st.integers(1, 40),
    jitter=st.floats(-1, 1),
    retry_after=st.integers(0, 30 * DAY),
    broken=st.booleans(),
    minimal=st.booleans(),
)
def test_every_attempt_ends_in_a_last_state_or_in_a_wait_of_bounded_length(
    outcome: OutcomeKind, kind: str, attempt: int, jitter: float, retry_after: int, broken: bool, minimal: bool
) -> None:
    decision = decide(
        Outcome(outcome, "why", retry_after=retry_after),
        channel_kind=kind,
        attempt=attempt,
        now=NOW,
        jitter=jitter,
        broken_before=broken,
        is_minimal=minimal,
    )
    if decision.state is State.PENDING and outcome is OutcomeKind.TOO_LARGE:
        assert (decision.next_time, minimal) == (NOW, False)
    elif decision.state is State.PENDING:
        wait = decision.next_time - NOW
        assert min(retry_after, 6 * HOUR) <= wait <= max(6 * HOUR, int(schedule_of(kind)[attempt] * 1.2))
        assert outcome in (*RETRIED, OutcomeKind.CONFIGURATION_BROKEN)
    else:
        assert decision.state not in UNFINISHED
        assert decision.next_time == 0
    assert bool(decision.disable_reason) == (outcome is OutcomeKind.CONFIGURATION_BROKEN and broken)
    assert decision.quiet_until <= NOW + 6 * HOUR


@given(kinds, st.sampled_from(RETRIED), st.lists(st.floats(-1, 1), min_size=40, max_size=40))
def test_a_fault_that_never_passes_ends_dead_after_the_whole_schedule(
    kind: str, outcome: OutcomeKind, jitters: list[float]
) -> None:
    now, attempt = NOW, 1
    for jitter in jitters:
        decision = decide(
            Outcome(outcome, ""), channel_kind=kind, attempt=attempt, now=now, jitter=jitter, broken_before=False
        )
        if decision.state is State.DEAD:
            break
        now, attempt = decision.next_time, attempt + 1
    assert decision.state is State.DEAD
    assert attempt == len(schedule_of(kind))
    total = sum(schedule_of(kind))
    assert 0.8 * total <= now - NOW <= 1.2 * total


def test_the_schedules_are_those_that_are_promised() -> None:
    assert sum(schedule_of("webhook")) == 75 * HOUR + 35 * MINUTE + 5 * SECOND
    assert 23 * HOUR < sum(schedule_of("email")) <= 24 * HOUR
    assert schedule_of("slack")[:4] == (0, 2 * SECOND, 10 * SECOND, 30 * SECOND)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("30", 30), ("0.3", 0.3), ("-5", 0), ("", 0), ("soon", 0), ("nan", 0), ("inf", 86_400), ("1e300", 86_400),
        ("Wed, 21 Oct 2026 07:29:00 GMT", 60), ("Wed, 21 Oct 2020 07:28:00 GMT", 0), ("21 Oct 2026 07:29:00", 0),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_all_its_forms(text: str, seconds: float) -> None:
    assert parse_retry_after(text, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == int(seconds * SECOND)


def arrival(kind: Kind, *names: str) -> Arrival:
    return Arrival("acme", "note_1", "alert_1", kind, 3, names, "stream", 1, b"")


CONSOLE = Channel("acme", "chan_1", "console", ConsoleTarget(), is_default=True)
MAIL = Channel("acme", "chan_2", "mail", EmailTarget(("ann@example.org",)), is_default=True)
QUIET = Channel("acme", "chan_3", "quiet", ConsoleTarget(), send_resolved=False)
OFF = Channel("acme", "chan_4", "off", ConsoleTarget(), disabled_reason="410")
ALL = [CONSOLE, MAIL, QUIET, OFF]


@pytest.mark.parametrize(
    ("kind", "names", "expected"),
    [
        (Kind.FIRING, (), [("console", State.PENDING), ("mail", State.PENDING)]),
        (Kind.FIRING, ("quiet", "quiet"), [("quiet", State.PENDING)]),
        (Kind.RESOLVED, ("quiet", "mail"), [("mail", State.PENDING)]),
        (Kind.FIRING, ("off", "gone"), [("off", State.SUPPRESSED), ("gone", State.SUPPRESSED)]),
        (Kind.SEVERITY_CHANGED, ("quiet", "mail"), [("quiet", State.PENDING), ("mail", State.PENDING)]),
        (Kind.ACKNOWLEDGED, (), [("console", State.PENDING)]),
        (Kind.ACKNOWLEDGED, ("gone",), []),
        (Kind.SNOOZED, (), []),
    ],
)
def test_who_is_told(kind: Kind, names: tuple[str, ...], expected: list[tuple[str, State]]) -> None:
    planned = plan(arrival(kind, *names), ALL)
    assert [(one.channel_name, one.state) for one in planned] == expected
    assert all(bool(one.reason) == (one.state is State.SUPPRESSED) for one in planned)


def test_the_end_of_what_was_never_told_is_no_news() -> None:
    assert [state for state in State if never_told([state])] == [State.DEAD, State.SUPPRESSED, State.SUPERSEDED]
    assert not never_told([])
    # That it got worse was told, though its beginning wasn't.
    assert not never_told([State.DEAD, State.DELIVERED])
