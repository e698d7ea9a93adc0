"""When it storms, what is told one by one then, and when the digest goes: pure decisions."""

from dataclasses import replace
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import MINUTE, SECOND
from monitors.notifier.model.delivery import Arrival
from monitors.notifier.model.flushing import Group
from monitors.notifier.model.grouping import Grouping
from monitors.notifier.model.message import Kind, Severity
from monitors.notifier.model.storm import (
    QUIET,
    WINDOW,
    Storm,
    admit_to_digest,
    after_arrivals,
    digest_key,
    goes_alone,
    is_digest,
)

NOW = 1_800_000_000 * SECOND
CRITICAL = Arrival("acme", "note_1", "alert_1", Kind.FIRING, Severity.CRITICAL, (), "s", 1, b"")


def test_more_than_the_limit_within_a_minute_is_a_storm_and_five_quiet_minutes_end_it() -> None:
    calm = after_arrivals(Storm(), 20, 20, NOW)
    assert not calm.rages(NOW)
    storm = after_arrivals(calm, 1, 20, NOW + SECOND)
    assert storm.rages(NOW + SECOND)
    # Twenty a minute aren't too many, so the storm is over five minutes after the one that had too many.
    for minute in range(1, 6):
        storm = after_arrivals(storm, 20, 20, NOW + minute * MINUTE)
        assert storm.rages(NOW + minute * MINUTE)
    assert not storm.rages(NOW + WINDOW + QUIET)
    again = after_arrivals(storm, 21, 20, NOW + 5 * MINUTE + SECOND)
    assert again.rages(NOW + WINDOW + QUIET)


def test_a_few_critical_first_alerts_a_minute_are_told_one_by_one() -> None:
    assert goes_alone(Storm(singles=9), CRITICAL, "email")
    assert not goes_alone(Storm(singles=10), CRITICAL, "email")
    assert not goes_alone(Storm(singles=3), CRITICAL, "slack")
    assert not goes_alone(Storm(), replace(CRITICAL, severity=Severity.HIGH), "email")
    assert not goes_alone(Storm(), replace(CRITICAL, kind=Kind.RESOLVED), "email")
    # Each minute anew.
    assert after_arrivals(Storm(NOW, 50, 10, NOW + QUIET), 1, 20, NOW + MINUTE).singles == 0


def test_a_clock_that_goes_back_neither_keeps_a_storm_nor_holds_the_digest_up() -> None:
    assert not Storm(NOW, 50, 0, NOW + QUIET).rages(NOW - 3600 * SECOND)
    assert admit_to_digest(Group(NOW), Grouping(), NOW - 3600 * SECOND)[0] == NOW - 3590 * SECOND


def test_a_digest_is_a_group_of_its_own() -> None:
    assert is_digest(digest_key("chan_1"))
    assert not is_digest("")


@given(st.lists(st.integers(0, 40 * SECOND), max_size=60), st.integers(0, 3 * MINUTE))
def test_digests_go_a_minute_after_each_other_and_hold_nothing_longer(pauses: list[int], wait: int) -> None:
    now, group, sent = NOW, Group(), []
    for pause in pauses:
        now += pause
        send_at, group = admit_to_digest(group, Grouping(wait=wait), now)
        assert now <= send_at <= now + WINDOW
        sent.append(send_at)
    times = sorted(set(sent))
    assert times == list(dict.fromkeys(sent))
    assert all(later - earlier >= WINDOW for earlier, later in pairwise(times))
