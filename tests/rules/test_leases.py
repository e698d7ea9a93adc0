"""Shards among evaluators that come, go, crash and give back: never held by two, shared out evenly, moved once."""

import itertools
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.mesh.times import SECOND
from monitors.rules.model.alert import SHARDS
from monitors.rules.model.leases import LEASE, Call, Decision, Holding, Member, decide, shares

HEARTBEAT = 3 * SECOND
NAMES = "abcd"


@dataclass
class World:
    """What the database remembers, and what each evaluator believes to hold."""

    now: int = 0
    holdings: dict[int, Holding] = field(default_factory=lambda: {n: Holding(n, 0) for n in range(SHARDS)})
    members: dict[str, Member] = field(default_factory=dict)
    believed: dict[str, dict[int, int]] = field(default_factory=dict)
    """Shard to epoch, by evaluator; of a crashed one until its lease ends."""
    renewed: dict[str, int] = field(default_factory=dict)
    wanted: dict[str, tuple[int, ...]] = field(default_factory=dict)
    moves: int = 0
    granted: set[tuple[int, int]] = field(default_factory=set)

    def call(
        self, who: str, released: tuple[int, ...] = (), *, exclusive: bool = False, leaving: bool = False
    ) -> Decision:
        call = Call(who, frozenset(released), exclusive, leaving)
        made = decide(list(self.holdings.values()), list(self.members.values()), call, self.now)
        for gone in made.gone:
            del self.members[gone]
        if made.member:
            self.members[who] = made.member
        for shard in made.freed:
            self.holdings[shard] = Holding(shard, self.holdings[shard].epoch)
        for shard in (*made.kept, *made.taken):
            epoch = self.holdings[shard].epoch + (shard in made.taken)
            self.holdings[shard] = Holding(shard, epoch, who, self.now + LEASE)
        for shard in made.taken:
            assert (shard, self.holdings[shard].epoch) not in self.granted
            self.granted.add((shard, self.holdings[shard].epoch))
        self.moves += len(made.taken)
        self.believed[who] = {shard: self.holdings[shard].epoch for shard in (*made.kept, *made.taken)}
        self.renewed[who], self.wanted[who] = self.now, made.wanted_back
        self.check()
        return made

    def check(self) -> None:
        """No shard is held by two whose leases last."""
        held = [
            shard
            for who, shards in self.believed.items()
            if self.now < self.renewed[who] + LEASE
            for shard in shards
        ]  # fmt: skip
        assert len(held) == len(set(held))

    def beat(self, alive: list[str], *, exclusive: str = "") -> None:
        """A heartbeat of each: what is wanted back is given back, as an evaluator does, in a call of its own."""
        for who in alive:
            made = self.call(who, exclusive=who in exclusive)
            if made.wanted_back:
                self.call(who, made.wanted_back, exclusive=who in exclusive)
        self.now += HEARTBEAT

    def counts(self, alive: list[str]) -> list[int]:
        return sorted(len(self.believed[who]) for who in alive)


steps = st.lists(
    st.tuples(
        st.sampled_from(["call", "release", "give back", "leave", "wait"]),
        st.sampled_from(NAMES),
        st.sets(st.integers(0, SHARDS - 1), max_size=5),
        st.integers(0, 2 * LEASE),
    ),
    max_size=25,
)


@given(steps, st.sets(st.sampled_from(NAMES), min_size=1), st.sets(st.sampled_from(NAMES), max_size=2))
@settings(max_examples=200, deadline=None)
def test_whatever_evaluators_do_no_shard_has_two_holders_and_the_shares_become_even(
    given_steps: list[tuple[str, str, set[int], int]], survivors: set[str], exclusive: set[str]
) -> None:
    world = World()
    for what, who, some, time in given_steps:
        match what:
            case "call":
                world.call(who, exclusive=who in exclusive)
            case "release":
                world.call(who, tuple(some), exclusive=who in exclusive)
            case "give back":
                world.call(who, world.wanted.get(who, ()), exclusive=who in exclusive)
            case "leave":
                world.call(who, leaving=True)
            case "wait":
                world.now += time
    # From now on only some call; the others have crashed. Their leases end, then one more round hands all out.
    alive = sorted(survivors)
    for _ in range(LEASE // HEARTBEAT + 4):
        world.beat(alive, exclusive="".join(exclusive))
    first = min(world.members.values(), key=lambda member: (member.join_time, member.id))
    sharing = [who for who in alive if who not in exclusive]
    if first.exclusive:
        assert len(world.believed[first.id]) == SHARDS
    elif sharing:
        counts = world.counts(sharing)
        assert sum(counts) == SHARDS
        assert counts[-1] - counts[0] <= 1
    moves = world.moves
    for _ in range(3):
        world.beat(alive, exclusive="".join(exclusive))
    assert world.moves == moves


@given(st.integers(1, 12))
@settings(max_examples=12, deadline=None)
def test_a_newcomer_has_its_share_within_two_heartbeats_and_nothing_else_moves(count: int) -> None:
    world = World()
    names = [f"e{number:02}" for number in range(count + 1)]
    for _ in range(3):
        world.beat(names[:count])
    world.moves = 0
    # The newcomer calls first, so that the others hear of it with their next heartbeat.
    for _ in range(2):
        world.beat([names[-1], *names[:-1]])
    world.call(names[-1])
    assert world.counts(names) == sorted(shares(list(world.members.values())).values())
    assert world.moves == SHARDS // (count + 1)


@given(st.integers(2, 12), st.data())
@settings(max_examples=15, deadline=None)
def test_what_one_leaves_behind_goes_to_the_others_and_nothing_else_moves(count: int, data: st.DataObject) -> None:
    world = World()
    names = [f"e{number:02}" for number in range(count)]
    for _ in range(3):
        world.beat(names)
    world.moves = 0
    left = data.draw(st.sampled_from(names))
    had = len(world.believed[left])
    crashed = data.draw(st.booleans())
    rest = [name for name in names if name != left]
    if not crashed:
        world.call(left, leaving=True)
        world.beat(rest)
    for _ in range(LEASE // HEARTBEAT + 2 if crashed else 0):
        world.beat(rest)
    assert sum(world.counts(rest)) == SHARDS
    assert world.moves == had


def test_an_exclusive_evaluator_has_all_shards_until_it_is_gone() -> None:
    world = World()
    assert len(world.call("a", exclusive=True).taken) == SHARDS
    for other in ("b", "c"):
        assert world.call(other, exclusive=other == "c").share == 0
    assert world.call("a", exclusive=True).wanted_back == ()
    world.now += LEASE
    # The first who asks again is the one who came first of those who are left, and it shares.
    assert [len(world.call(other, exclusive=other == "c").taken) for other in ("b", "c")] == [SHARDS, 0]


def test_an_evaluator_that_comes_back_in_time_keeps_its_epochs_and_late_it_begins_anew() -> None:
    world = World()
    world.call("a")
    world.now += LEASE - 1
    assert world.call("a").kept == tuple(range(SHARDS))
    world.now += LEASE
    late = world.call("a")
    assert (late.kept, late.taken) == ((), tuple(range(SHARDS)))
    assert set(itertools.chain(*world.believed.values())) == set(range(SHARDS))
    assert set(world.believed["a"].values()) == {2}


def test_who_calls_is_told_when_the_next_of_the_others_is_gone_unless_it_calls() -> None:
    world = World()
    assert world.call("a").next_end is None
    world.now = SECOND
    assert world.call("b").next_end == LEASE
    world.now = 2 * SECOND
    assert world.call("c").next_end == LEASE
    world.now = LEASE
    made = world.call("b")
    assert (made.next_end, len(made.kept) + len(made.taken)) == (LEASE + 2 * SECOND, SHARDS // 2)
