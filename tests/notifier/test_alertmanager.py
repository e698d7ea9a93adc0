"""Alertmanager's own cases, on the queue with a clock of seconds: what we do is what it does, or differs on purpose."""

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from monitors.mesh.times import MINUTE, SECOND
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Decision, Outcome, OutcomeKind, State, decide
from monitors.notifier.model.grouping import GroupBy, Grouping
from monitors.notifier.model.targets import EmailTarget
from monitors.notifier.store.claims import Claim
from monitors.notifier.translate import repeat_of, to_arrival
from monitors.v1.notification_pb2 import Notification
from tests.harness import LoopThread
from tests.notifier.alertmanager import ACCEPTANCE, DEDUP, REPEAT_MINUTES, Dedup, Scenario
from tests.notifier.test_queue import NOW, Store
from tests.notifier.world import FIRING, RESOLVED, notification

STEP = SECOND // 10
ENDS = {FIRING: "fires", RESOLVED: "ends"}


@pytest.fixture
def store(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Store]:
    store = Store(loop_thread, tmp_path)
    yield store
    store.database.close()


class Desk:
    """A notifier whose time a test moves: it hears of alerts, and what it sends is written down by channel."""

    def __init__(self, store: Store, grouping: Grouping, channels: dict[str, bool], *, repeat: int) -> None:
        self._store, self._repeat, self._sequence = store, repeat, 0
        self.sent: dict[str, list[tuple[int, str]]] = {name: [] for name in channels}
        for name, send_resolved in channels.items():
            target = EmailTarget((f"{name}@example.org",))
            made = Channel("acme", f"chan_of_{name}", f"to_{name}", target, own_grouping=grouping)
            made = replace(made, send_resolved=send_resolved)
            store.write(partial(store.channels.insert, channel=made))
        self._channels = tuple(f"to_{name}" for name in channels)

    def hear(self, now: int, *news: tuple[str, str]) -> None:
        """Of alerts, each with `fires` or `ends`."""
        arrivals = []
        for alert, what in news:
            self._sequence += 1
            made = notification(
                f"n{self._sequence}", FIRING if what == "fires" else RESOLVED, alert=f"alert_{alert}", title=alert,
                stream=alert, sequence=self._sequence, channels=self._channels, now=now,
            )  # fmt: skip
            arrival = to_arrival(made)
            assert arrival is not None
            arrivals.append(replace(arrival, repeat_interval=self._repeat))
        self._store.take_in(*arrivals, now=now)

    def look(self, now: int, failing: frozenset[str] = frozenset()) -> None:
        """Sends what is due; the channels that are `failing` answer 503."""
        queue = self._store.queue
        self._store.write(lambda session: queue.repeat(session, now, 100, partial(repeat_of, now)))
        while claims := self._store.claim(now):
            for claim in claims:
                name = claim.channel.name.removeprefix("to_")
                if name in failing:
                    self._store.finish(claim, OutcomeKind.RETRYABLE, _failed(claim, now), now)
                else:
                    self.sent[name].append((now, _said(claim)))
                    self._store.finish(claim, OutcomeKind.OK, Decision(State.DELIVERED), now)


def _failed(claim: Claim, now: int) -> Decision:
    outcome = Outcome(OutcomeKind.RETRYABLE, "HTTP 503")
    return decide(outcome, channel_kind="email", attempt=claim.attempt, now=now, jitter=0, broken_before=False)


def _said(claim: Claim) -> str:
    told = [Notification.FromString(part.payload) for part in claim.parts]
    return ", ".join(f"{one.alert.title} {ENDS.get(one.kind, 'fires')}" for one in told)


@pytest.mark.parametrize("row", DEDUP, ids=[str(number) for number in range(1, len(DEDUP) + 1)])
def test_a_group_is_told_again_exactly_when_its_table_says(store: Store, row: Dedup) -> None:
    grouping = Grouping(GroupBy.RULE, wait=0, interval=SECOND, holds_urgent=True)
    desk = Desk(store, grouping, {"a": row.send_resolved}, repeat=REPEAT_MINUTES * MINUTE)
    now = NOW
    told = (row.told_firing or set()) | row.told_resolved
    if told:
        desk.hear(NOW, *((str(each), "fires") for each in sorted(told)))
        desk.look(NOW)
        desk.look(NOW + SECOND)
        desk.hear(NOW + 2 * SECOND, *((str(each), "ends") for each in sorted(row.told_resolved)))
        desk.look(NOW + 2 * SECOND)
        desk.look(NOW + 3 * SECOND)
        now += row.minutes_ago * MINUTE + 3 * SECOND
    before = len(desk.sent["a"])
    known = told - row.told_resolved
    new = [(str(each), "fires") for each in sorted((row.firing | row.resolved) - told)]
    ended = [
        (str(each), "ends") for each in sorted(row.resolved - row.told_resolved) if each in known or each not in told
    ]
    desk.hear(now, *new, *ended)
    for seconds in range(3):
        desk.look(now + seconds * SECOND)
    assert (len(desk.sent["a"]) > before) is row.sends, desk.sent
    assert (row.ours is None) is not bool(row.because)


@pytest.mark.parametrize("name", ACCEPTANCE)
def test_messages_come_when_its_acceptance_tests_say_but_for_what_we_do_otherwise(store: Store, name: str) -> None:
    scenario = ACCEPTANCE[name]
    assert played(store, scenario) == scenario.ours
    # Sooner, and never fewer.
    for receiver, theirs in scenario.theirs.items():
        assert len(scenario.ours[receiver]) >= len(theirs)
    assert (scenario.ours != scenario.theirs) is bool(scenario.because)


def played(store: Store, scenario: Scenario) -> dict[str, tuple[tuple[float, str], ...]]:
    """What the receivers of a scenario got, in seconds from its beginning."""
    grouping = Grouping(GroupBy.RULE, wait=scenario.wait * SECOND, interval=scenario.interval * SECOND)
    channels = {receiver: scenario.send_resolved.get(receiver, True) for receiver in scenario.theirs}
    desk = Desk(store, grouping, channels, repeat=scenario.repeat * SECOND)
    at: dict[int, list[tuple[str, str]]] = {}
    for second, alert, what in scenario.events:
        at.setdefault(NOW + int(second * SECOND), []).append((alert, what))
    for now in range(NOW, NOW + int(scenario.until * SECOND) + 1, STEP):
        if now in at:
            desk.hear(now, *at[now])
        desk.look(now, frozenset({"b"}) if now < NOW + scenario.failing * SECOND else frozenset())
    return {
        receiver: tuple(((time - NOW) / SECOND, said) for time, said in sent) for receiver, sent in desk.sent.items()
    }


def test_all_of_its_cases_are_there() -> None:
    assert (len(DEDUP), len(ACCEPTANCE)) == (11, 5)
