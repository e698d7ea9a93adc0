"""When what comes to a group goes: pure decisions."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import MINUTE, SECOND
from monitors.notifier.model.delivery import Arrival
from monitors.notifier.model.flushing import Group, admit, group_key
from monitors.notifier.model.grouping import GroupBy, Grouping, default_grouping
from monitors.notifier.model.message import Kind, Severity

NOW = 1_800_000_000 * SECOND
BY_RULE = Grouping(GroupBy.RULE)
ALERT = Arrival(
    "acme", "note_1", "alert_1", Kind.FIRING, Severity.HIGH, (), "s", 1, b"", rule_id="rule_1", monitor_id="mon_1",
    labels={"team": "shop", "host": "a"},
)  # fmt: skip
END = replace(ALERT, kind=Kind.RESOLVED)


def times(*arrivals: tuple[float, Arrival], grouping: Grouping = BY_RULE) -> list[float]:
    """When each goes that comes at so many seconds; seconds as well."""
    group, found = Group(), []
    for second, arrival in arrivals:
        send_at, group = admit(group, arrival, grouping, NOW + int(second * SECOND))
        found.append((send_at - NOW) / SECOND)
    return found


def test_the_first_goes_at_once_the_next_within_the_wait_together_and_then_every_interval() -> None:
    came = (0, 1, 9, 10, 11, 69, 70, 71, 129, 131)
    assert times(*((second, ALERT) for second in came)) == [0, 10, 10, 70, 70, 70, 130, 130, 130, 190]


def test_a_group_that_nothing_came_to_for_an_interval_is_idle() -> None:
    assert times((0, ALERT), (60, ALERT), (65, ALERT), (130, ALERT)) == [0, 60, 70, 130]
    # What comes after the wait, but within the interval, waits for the interval's end.
    assert times((0, ALERT), (15, ALERT)) == [0, 60]


def test_what_is_critical_got_worse_or_is_over_doesnt_wait() -> None:
    critical = replace(ALERT, severity=Severity.CRITICAL)
    worse = replace(ALERT, kind=Kind.SEVERITY_CHANGED, former_severity=Severity.LOW)
    eased = replace(worse, former_severity=Severity.CRITICAL)
    came = ((0, ALERT), (1, critical), (2, worse), (3, END), (4, eased), (5, ALERT))
    assert times(*came) == [0, 1, 2, 3, 10, 10]
    assert times(*came, grouping=replace(BY_RULE, holds_urgent=True)) == [0, 1, 10, 10, 10, 10]
    # A critical one opens an idle group, for the next is told soon after it. An end doesn't.
    assert times((0, critical), (1, ALERT)) == [0, 10]
    assert times((0, END), (1, ALERT), (2, ALERT)) == [0, 1, 11]


def test_a_clock_that_goes_back_by_an_hour_holds_nothing_up() -> None:
    assert times((3600, ALERT), (3601, ALERT), (0, ALERT)) == [3600, 3610, 0]


@pytest.mark.parametrize(
    ("grouping", "same", "other"),
    [
        (Grouping(GroupBy.RULE), {"monitor_id": "mon_2", "labels": {}}, {"rule_id": "rule_2"}),
        (Grouping(GroupBy.MONITOR), {"rule_id": "rule_2", "labels": {}}, {"monitor_id": "mon_2"}),
        (Grouping(GroupBy.LABELS, ("team",)), {"rule_id": "r", "labels": {"team": "shop"}}, {"labels": {"team": ""}}),
    ],
)
def test_a_group_is_what_has_the_named_thing_in_common(
    grouping: Grouping, same: dict[str, object], other: dict[str, object]
) -> None:
    key = group_key(ALERT, "chan_1", grouping)
    assert len(key) == 64
    assert group_key(replace(ALERT, **same), "chan_1", grouping) == key  # type: ignore[arg-type]
    assert group_key(replace(ALERT, **other), "chan_1", grouping) != key  # type: ignore[arg-type]
    assert group_key(ALERT, "chan_2", grouping) != key


def test_receivers_that_group_by_themselves_get_each_alert_alone() -> None:
    assert [default_grouping(kind).by for kind in ("email", "slack", "discord", "teams")] == [GroupBy.RULE] * 4
    assert [default_grouping(kind).by for kind in ("webhook", "console", "pager_duty")] == [GroupBy.ALONE] * 3
    assert group_key(ALERT, "chan_1", Grouping()) == ""
    # As does what is about no alert: what the notifier says of itself.
    assert group_key(replace(ALERT, alert_id=""), "chan_1", BY_RULE) == ""


@given(
    st.lists(st.tuples(st.integers(0, 30 * SECOND), st.sampled_from([ALERT, END])), max_size=60),
    st.integers(0, 2 * MINUTE),
    st.integers(SECOND, 2 * MINUTE),
    st.booleans(),
)
def test_nothing_waits_longer_than_it_should_and_messages_keep_their_distance(
    steps: list[tuple[int, Arrival]], wait: int, interval: int, holds_urgent: bool
) -> None:
    grouping = Grouping(GroupBy.RULE, (), wait, interval, holds_urgent)
    now, group, sent = NOW, Group(), set()
    for pause, arrival in steps:
        now += pause
        send_at, group = admit(group, arrival, grouping, now)
        assert now <= send_at <= now + max(wait, interval)
        if arrival is END and not holds_urgent:
            assert send_at == now
        else:
            sent.add(send_at)
    ordered = sorted(sent)
    # Of any three in a row, the outer two are an interval apart: only an opening one has another within the wait.
    assert all(third - first >= interval for first, third in zip(ordered, ordered[2:], strict=False))
