"""Whose turn it is: critical first, then whoever has least on its way, and no bound is ever passed."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from monitors.notifier.model.turns import Bound, Lane, Turns

TENANTS = ("acme", "globex", "initech")

lanes = st.lists(
    st.builds(
        lambda tenant, channel, since: Lane(tenant, channel, 2, since, (("channel", f"{tenant}/{channel}"),)),
        st.sampled_from(TENANTS),
        st.sampled_from(("a", "b", "c")),
        st.integers(0, 9),
    ),
    max_size=9,
    unique_by=lambda lane: (lane.tenant, lane.channel_id),
)
busy = st.dictionaries(st.sampled_from(TENANTS), st.integers(0, 5))


def counts(shares: Sequence[tuple[Lane, int]]) -> dict[tuple[str, str], int]:
    return {(lane.tenant, lane.channel_id): count for lane, count in shares}


def one_after_another(
    due: Sequence[Lane], capacity: int, left: dict[Bound, int], on_its_way: dict[str, int], served: dict[str, int]
) -> dict[tuple[str, str], int]:
    """The same as plainly as can be: each message looks at everything anew."""
    given_out: Counter[tuple[str, str]] = Counter()
    for _ in range(capacity):
        of_tenant: Counter[str] = Counter(on_its_way)
        for (tenant, _), count in given_out.items():
            of_tenant[tenant] += count
        able = [one for one in due if given_out[one.tenant, one.channel_id] < left.get(one.bounds[0], 1000)]
        if not able:
            break
        first = min(
            able,
            key=lambda one: (
                of_tenant[one.tenant],
                served.get(one.tenant, 0),
                one.tenant,
                given_out[one.tenant, one.channel_id],
                one.since,
            ),
        )
        given_out[first.tenant, first.channel_id] += 1
    return dict(given_out)


@given(lanes, st.integers(0, 40), st.lists(st.integers(0, 6), min_size=9, max_size=9), busy, busy)
def test_it_is_shared_out_as_by_looking_at_everything_for_each_message(
    due: list[Lane], capacity: int, rooms: list[int], on_its_way: dict[str, int], served: dict[str, int]
) -> None:
    left = {lane.bounds[0]: room for lane, room in zip(due, rooms, strict=False)}
    shares = Turns(capacity, left, on_its_way, served).share(due)
    assert counts(shares) == one_after_another(due, capacity, left, on_its_way, served)


@given(lanes, st.integers(0, 60), st.integers(0, 6), busy)
def test_nobody_has_more_than_one_more_than_who_could_have_had_another(
    due: list[Lane], capacity: int, room: int, on_its_way: dict[str, int]
) -> None:
    turns = Turns(capacity, {lane.bounds[0]: room for lane in due}, on_its_way, {})
    shares = turns.share(due)
    granted: defaultdict[str, int] = defaultdict(int)
    for lane, count in shares:
        granted[lane.tenant] += count
        assert count <= room
    assert sum(granted.values()) + turns.capacity == capacity
    total = {tenant: on_its_way.get(tenant, 0) + granted[tenant] for tenant in TENANTS}
    could = [lane.tenant for lane in due if counts(shares).get((lane.tenant, lane.channel_id), 0) < room and granted]
    for poorer in could:
        assert all(total[poorer] + 1 >= total[tenant] for tenant, count in granted.items() if count)


def test_a_bucket_that_two_channels_share_gives_no_more_than_it_holds() -> None:
    bucket = ("bucket", "one")
    due = [Lane("acme", name, 2, 0, (bucket,)) for name in ("a", "b")]
    turns = Turns(10, {bucket: 3}, {}, {})
    assert sorted(counts(turns.share(due)).values()) == [1, 2]
    assert turns.share(due) == []
    turns.give_back(due[0], 1)
    assert turns.share(due) == [(due[0], 1)]


def test_with_room_for_one_at_a_time_tenants_take_turns() -> None:
    due = [Lane(tenant, "a", 2, since) for since, tenant in enumerate(TENANTS)]
    served: dict[str, int] = {}
    order = []
    for turn in range(1, 7):
        ((lane, _),) = Turns(1, {}, {}, served).share(due)
        served[lane.tenant] = turn
        order.append(lane.tenant)
    assert sorted(order[:3]) == sorted(TENANTS)
    assert order[:3] == order[3:]
