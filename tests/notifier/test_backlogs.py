"""After an outage a stream's backlog collapses to the present truth, in order, and nothing that may be known is left
out."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from monitors.mesh.times import MINUTE
from monitors.notifier.model.backlog import LATER_EPISODE, NEWER, Waiting, is_backlog, overtaken
from monitors.notifier.model.delivery import Decision, OutcomeKind, State
from monitors.notifier.model.message import Kind
from monitors.notifier.store import log
from tests.harness import LoopThread
from tests.notifier.test_queue import DELIVERED, NOW, Store, arrival

F, S, R = Kind.FIRING, Kind.SEVERITY_CHANGED, Kind.RESOLVED


def stream(*told: tuple[int, Kind], known: frozenset[int] = frozenset()) -> list[Waiting]:
    return [Waiting(str(place), f"al_{alert}", kind, place in known) for place, (alert, kind) in enumerate(told)]


def test_an_episode_that_nobody_knows_gives_way_to_a_later_one() -> None:
    told = ((1, F), (1, R), (2, F), (2, R), (3, F))
    assert overtaken(stream(*told)) == dict.fromkeys("0123", LATER_EPISODE)
    # Without a later one it's told, though it's over.
    assert overtaken(stream(*told[:4])) == dict.fromkeys("01", LATER_EPISODE)
    assert overtaken(stream(*told[:2])) == {}


def test_what_the_receiver_may_know_is_told_to_its_end() -> None:
    assert overtaken(stream((1, F), (1, R), (2, F), known=frozenset({0}))) == {}
    # Its firing was told before, so its end is awaited.
    assert overtaken(stream((1, R), (2, F), (2, R), (3, F))) == dict.fromkeys("12", LATER_EPISODE)


def test_of_several_changes_the_last_one_is_told() -> None:
    assert overtaken(stream((1, F), (1, S), (1, S), (1, S))) == dict.fromkeys("12", NEWER)
    assert overtaken(stream((1, F), (1, S), (1, R))) == {"1": NEWER}
    assert overtaken(stream((1, S), (1, S), known=frozenset({0}))) == {}


def test_a_backlog_is_what_failed_or_waited_for_a_minute() -> None:
    assert not is_backlog(0, NOW, NOW + MINUTE - 1)
    assert is_backlog(0, NOW, NOW + MINUTE)
    assert is_backlog(1, NOW, NOW)


@dataclass
class Row:
    told: Waiting
    ended: bool = False
    is_known: bool = False
    """Whether the receiver has it, whatever the sender knows."""


@dataclass
class Receiver:
    """What somebody believes who gets messages."""

    fired: set[str] = field(default_factory=set)
    open: set[str] = field(default_factory=set)

    def take(self, one: Waiting) -> None:
        if one.kind is R:
            assert one.alert_id in self.fired, "an end without its firing"
            self.open.discard(one.alert_id)
        else:
            self.fired.add(one.alert_id)
            self.open.add(one.alert_id)


class Delivering(RuleBasedStateMachine):
    """One stream through an endpoint that fails in every way, collapsed before each attempt."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[Row] = []
        self.receiver = Receiver()
        self.alert = 0
        self.fires = False

    def happens(self, kind: Kind) -> None:
        self.rows.append(Row(Waiting(str(len(self.rows)), f"al_{self.alert}", kind, may_be_known=False)))

    @precondition(lambda self: not self.fires)
    @rule()
    def fire(self) -> None:
        self.alert, self.fires = self.alert + 1, True
        self.happens(F)

    @precondition(lambda self: self.fires)
    @rule(kind=st.sampled_from([S, R]))
    def go_on(self, kind: Kind) -> None:
        self.fires = kind is not R
        self.happens(kind)

    @rule(outcome=st.sampled_from(["taken", "refused", "lost on the way", "taken without an answer"]))
    def attempt(self, outcome: str) -> None:
        waiting = [row for row in self.rows if not row.ended]
        reasons = overtaken([row.told for row in waiting])
        for row in waiting:
            row.ended = row.told.id in reasons
        left = [row for row in waiting if not row.ended]
        if not left:
            return
        head = left[0]
        if outcome.startswith("taken"):
            if not head.is_known:
                self.receiver.take(head.told)
            head.is_known = True
        head.ended = outcome == "taken"
        if outcome in ("lost on the way", "taken without an answer"):
            head.told = replace(head.told, may_be_known=True)

    @invariant()
    def nothing_that_may_be_known_is_given_up(self) -> None:
        assert all(row.is_known for row in self.rows if row.ended and row.told.may_be_known)

    def teardown(self) -> None:
        for _ in self.rows:
            self.attempt("taken")
        assert all(row.ended for row in self.rows)
        # The present truth, and nothing else, is what the receiver believes in the end.
        assert self.receiver.open == ({f"al_{self.alert}"} if self.fires else set())
        if self.rows:
            assert f"al_{self.alert}" in self.receiver.fired


TestDelivering = Delivering.TestCase


@given(st.lists(st.tuples(st.integers(1, 5), st.sampled_from([F, S, R])), max_size=12), st.booleans())
def test_the_last_word_is_never_left_out(told: list[tuple[int, Kind]], known: bool) -> None:
    waiting = stream(*sorted(told, key=lambda one: one[0]), known=frozenset({0} if known else ()))
    if waiting:
        assert waiting[-1].id not in overtaken(waiting)


@pytest.fixture(scope="module")
def opened(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    store = Store(loop_thread, tmp_path_factory.mktemp("backlogs"))
    yield store
    store.database.close()


@pytest.fixture
def store(opened: Store) -> Store:
    opened.empty()
    return opened


def episodes(store: Store) -> None:
    store.take_in(
        arrival(1, alert="a"), arrival(2, R, alert="a"), arrival(3, alert="b"), arrival(4, R, alert="b"),
        arrival(5, alert="c"),
    )  # fmt: skip


def test_when_the_endpoint_is_back_only_how_things_stand_is_told(store: Store) -> None:
    episodes(store)
    (first,) = store.claim()
    store.finish(first, OutcomeKind.RETRYABLE, Decision(State.PENDING, NOW + MINUTE))
    (claim,) = store.claim(NOW + MINUTE)
    store.finish(claim, OutcomeKind.OK, DELIVERED, NOW + MINUTE)
    assert store.states() == {**dict.fromkeys(("n1", "n2", "n3", "n4"), State.SUPERSEDED), "n5": State.DELIVERED}
    listed = store.write(lambda session: log.list_page(session, "acme", log.Query(), None, 10))
    assert {one.detail for one in listed if one.state is State.SUPERSEDED} == {LATER_EPISODE}


def test_after_our_own_outage_too_but_what_may_have_arrived_is_told_to_its_end(store: Store) -> None:
    episodes(store)
    (first,) = store.claim()
    store.finish(first, OutcomeKind.AMBIGUOUS, Decision(State.PENDING, NOW + MINUTE))
    told = []
    for _ in range(3):
        (claim,) = store.claim(NOW + 2 * MINUTE)
        store.finish(claim, OutcomeKind.OK, DELIVERED, NOW + 2 * MINUTE)
        told.append(claim.parts[0].delivery_id)
    states = store.states()
    assert [name for name in sorted(states) if states[name] is State.DELIVERED] == ["n1", "n2", "n5"]
    assert len(set(told)) == 3


def test_without_an_outage_everything_is_told(store: Store) -> None:
    episodes(store)
    for _ in range(5):
        (claim,) = store.claim(NOW + MINUTE - 1)
        store.finish(claim, OutcomeKind.OK, DELIVERED)
    assert set(store.states().values()) == {State.DELIVERED}


def test_the_end_of_what_was_given_up_but_may_have_arrived_is_told(store: Store) -> None:
    store.take_in(arrival(1))
    (claim,) = store.claim()
    store.finish(claim, OutcomeKind.AMBIGUOUS, Decision(State.DEAD))
    store.take_in(arrival(2, R))
    assert store.states() == {"n1": State.DEAD, "n2": State.PENDING}
