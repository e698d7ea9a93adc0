"""The timers of repeats, on a real database, against a plain model."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from monitors.mesh.times import HOUR, MINUTE
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import NEVER, Arrival, Decision, OutcomeKind, State
from monitors.notifier.model.message import Kind
from monitors.notifier.model.repeats import BUSY, Timer, take_turn
from monitors.notifier.model.targets import ConsoleTarget
from monitors.notifier.store.tables import RepeatRow
from monitors.notifier.translate import repeat_of, to_arrival
from monitors.v1 import alert_pb2, notification_pb2
from tests.harness import LoopThread
from tests.notifier.test_queue import NOW, Store
from tests.notifier.world import notification


@pytest.fixture(scope="module")
def opened(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(loop_thread, tmp_path_factory.mktemp("repeats"))
    yield store
    store.database.close()


@pytest.fixture
def store(opened: Store) -> Store:
    opened.empty()
    return opened


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(
            st.sampled_from(["wait", "wait", "wait", "interval", "snooze", "acknowledge", "end", "again"]),
            st.integers(1, 40),
        ),
        max_size=14,
    ),
)
def test_it_is_told_again_exactly_when_the_plain_model_says(store: Store, steps: list[tuple[str, int]]) -> None:
    store.empty()
    oracle, number, now = Oracle(), 0, NOW
    told: list[int] = []

    def tell(kind: Kind, repeat_interval: int = 0, repeat_after: int = 0) -> None:
        nonlocal number
        number += 1
        how = {"repeat_interval": repeat_interval, "repeat_after": repeat_after}
        oracle.hear(kind, now, **how)
        payload = notification(f"n{number}", alert=oracle.alert, sequence=number, now=NOW).SerializeToString()
        one = Arrival(
            "acme", f"n{number}", oracle.alert, kind, 2, (), "s", number, payload, repeat_interval, repeat_after
        )
        store.take_in(one, now=now)

    def look() -> None:
        store.write(lambda session: store.queue.repeat(session, now, 10, partial(repeat_of, now)))
        # One after the other: a stream may have several to tell.
        while claims := store.claim(now):
            for claim in claims:
                notified = notification_pb2.Notification.FromString(claim.parts[0].payload)
                if notified.kind == alert_pb2.ALERT_EVENT_KIND_STILL_FIRING:
                    told.append(now)
                store.finish(claim, OutcomeKind.OK, Decision(State.DELIVERED), now)

    tell(Kind.FIRING, repeat_interval=5 * MINUTE)
    for what, amount in steps:
        if what == "interval":
            tell(Kind.REPEAT_CHANGED, repeat_interval=amount * MINUTE, repeat_after=oracle.quiet_until)
        elif what == "snooze":
            tell(Kind.REPEAT_CHANGED, repeat_interval=oracle.interval, repeat_after=now + amount * MINUTE)
        elif what == "acknowledge":
            tell(Kind.ACKNOWLEDGED)
        elif what == "end" and not oracle.is_over:
            tell(Kind.RESOLVED)
        elif what == "again" and oracle.is_over:
            tell(Kind.FIRING, repeat_interval=amount * MINUTE)
        for _ in range(amount if what == "wait" else 1):
            look()
            oracle.look(now)
            now += MINUTE
    assert told == oracle.told


@dataclass
class Oracle:
    """One alert after another of one instance, in plain words: when it's told again."""

    episode: int = 0
    interval: int = 0
    last: int = 0
    quiet_until: int = 0
    is_over: bool = True
    is_live: bool = False
    told: list[int] = field(default_factory=list)

    @property
    def alert(self) -> str:
        return f"alert_{self.episode}"

    def hear(self, kind: Kind, now: int, repeat_interval: int = 0, repeat_after: int = 0) -> None:
        if kind is Kind.FIRING:
            self.episode += 1
            self.is_live, self.is_over, self.last, self.quiet_until = True, False, now, 0
        if kind in (Kind.ACKNOWLEDGED, Kind.RESOLVED):
            self.is_live = False
            self.is_over = self.is_over or kind is Kind.RESOLVED
        else:
            self.interval, self.quiet_until = repeat_interval, repeat_after

    def look(self, now: int) -> None:
        if self.is_live and now >= self.last + self.interval and now >= self.quiet_until:
            self.told.append(now)
            self.last = now


def test_what_is_told_again_takes_only_the_room_that_news_leaves(store: Store) -> None:
    told = [notification(f"n{n}", alert=f"alert_{n}", stream=f"s{n}", sequence=n, repeat=60) for n in range(1, 6)]
    store.take_in(*(arrival for one in told if (arrival := to_arrival(one))))
    for _ in range(2):
        for claim in store.claim():
            store.finish(claim, OutcomeKind.OK, Decision(State.DELIVERED))
    later = NOW + HOUR
    assert store.write(lambda session: store.queue.next_repeat(session)) == NOW + MINUTE
    taken = store.write(lambda session: store.queue.repeat(session, later, 2, partial(repeat_of, later)))
    assert (taken, len(store.claim(later))) == (2, 2)
    # The others are due still, and those two have their next turn in time, whatever becomes of them.
    assert store.write(lambda session: store.queue.next_repeat(session)) == NOW + MINUTE
    assert store.write(lambda session: store.queue.repeat(session, later, 9, partial(repeat_of, later))) == 3
    assert store.write(lambda session: store.queue.next_repeat(session)) == later + MINUTE


MUTED = Timer(interval=0, told_at=10, muted_until=50)
OPS = Channel("acme", "chan_1", "ops", ConsoleTarget())


def test_what_was_muted_and_has_no_other_turn_isnt_lost_while_a_message_is_on_its_way() -> None:
    waiting = take_turn(MUTED, OPS, 60, is_busy=True)
    assert (waiting.is_shown, waiting.due_at, waiting.muted_until) == (False, 60 + BUSY, 50)
    told = take_turn(MUTED, OPS, 60, is_busy=False)
    assert (told.is_shown, told.state, told.due_at, told.muted_until) == (True, State.PENDING, NEVER, 0)


@pytest.mark.parametrize("timer", [MUTED, Timer(interval=100, told_at=0, muted_until=50)])
def test_what_was_muted_and_has_no_other_turn_says_that_its_channel_is_off(timer: Timer) -> None:
    turn = take_turn(timer, replace(OPS, disabled_reason="it was refused"), 60, is_busy=False)
    assert (turn.is_shown, turn.state, turn.reason) == (
        True,
        State.SUPPRESSED,
        "the channel is turned off: it was refused",
    )


TIMES = st.integers(0, 100).map(lambda minutes: minutes and NOW + minutes * MINUTE)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    timers=st.lists(st.tuples(st.sampled_from([0, MINUTE, HOUR]), TIMES, TIMES), min_size=1, max_size=4),
    is_named=st.booleans(),
)
def test_what_is_told_first_is_counted_from_then_as_the_timer_says(
    store: Store, timers: list[tuple[int, int, int]], is_named: bool
) -> None:
    """As well where a timer doesn't name the delivery, as those that were set before timers did."""
    store.empty()
    for number in range(len(timers)):
        store.take_in(Arrival("acme", f"n{number}", f"al{number}", Kind.FIRING, 2, (), f"s{number}", number, b""))

    def change(session: Session) -> None:
        for number, (interval, quiet_until, muted_until) in enumerate(timers):
            values = {"repeat_interval": interval, "quiet_until": quiet_until, "muted_until": muted_until}
            unnamed = {} if is_named else {"delivery_id": ""}
            session.execute(update(RepeatRow).where(RepeatRow.alert_id == f"al{number}").values(**values, **unnamed))

    store.write(change)
    told = {}
    while claims := store.claim():
        for claim in claims:
            assert store.finish(claim, OutcomeKind.OK, Decision(State.DELIVERED))
            told[claim.parts[0].alert_id] = claim.delivery_id
    columns = RepeatRow.alert_id, RepeatRow.told_at, RepeatRow.due_at, RepeatRow.delivery_id
    found = sorted(map(tuple, store.write(lambda session: session.execute(select(*columns)).all())))
    assert found == [
        (f"al{number}", NOW, Timer(interval, NOW, quiet_until, muted_until).due_at, told[f"al{number}"])
        for number, (interval, quiet_until, muted_until) in enumerate(timers)
    ]
