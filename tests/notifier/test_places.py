"""Places on the way: whatever is slow or dead, a channel whose last message arrived finds one at once."""

from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.times import SECOND
from monitors.notifier.model.places import (
    AT_ONCE,
    KEPT_FREE,
    LINGERING,
    LINGERS,
    MOST,
    PROVEN,
    PROVEN_LINGERING,
    STALLS,
    UNPROVEN,
    Attempt,
    Key,
    Places,
)

NOW = 1_800_000_000 * SECOND
WELL = ("acme", "chan_well")


def going_on(channel: str, count: int, *, since: int, tenant: str = "acme", host: str = "") -> list[Attempt]:
    return [Attempt((tenant, channel), host or f"{channel}.example", since)] * count


def room(places: Places, channel: Key, host: str = "", *, is_tried: bool = False) -> int:
    """How many attempts to a channel may begin."""
    return min(places.capacity, *places.bounds(channel, host, is_tried=is_tried).values())


def test_a_channel_that_is_well_has_its_place_however_many_others_are_dead() -> None:
    dead = [
        one
        for n in range((MOST - KEPT_FREE) // UNPROVEN)
        for one in going_on(f"dead{n}", UNPROVEN, since=NOW - SECOND, host=f"h{n}", tenant=f"t{n}")
    ]
    places = Places(dead, {WELL}, NOW)
    assert room(places, WELL) == min(AT_ONCE, PROVEN)
    # The dead ones have used up what there is for those that linger.
    assert room(places, ("t1", "chan_new"), "new") == 0


def test_what_has_just_begun_makes_others_wait_for_a_tenth_of_a_second_at_most() -> None:
    begun = going_on("busy", AT_ONCE, since=NOW)
    full = Places(begun, {WELL}, NOW)
    assert room(full, WELL) == 0
    assert full.upcoming == NOW + LINGERS
    assert room(Places(begun, {WELL}, full.upcoming), WELL) == AT_ONCE


def test_a_channel_of_which_nothing_is_known_gets_few_places_and_one_that_failed_a_single_one() -> None:
    channel = ("acme", "chan_new")
    assert room(Places([], (), NOW), channel) == UNPROVEN
    assert room(Places(going_on("chan_new", 3, since=NOW - SECOND), (), NOW), channel) == UNPROVEN - 3
    assert room(Places([], {channel}, NOW), channel, is_tried=True) == 1
    assert room(Places(going_on("chan_new", 1, since=NOW), {channel}, NOW), channel, is_tried=True) == 0


def test_who_was_well_and_stops_answering_counts_as_unknown_after_two_seconds() -> None:
    hanging = going_on(WELL[1], UNPROVEN, since=NOW)
    assert room(Places(hanging, {WELL}, NOW + STALLS - 1), WELL) == PROVEN - UNPROVEN
    assert room(Places(hanging, {WELL}, NOW + STALLS), WELL) == 0


def test_who_is_well_but_slow_has_fewer_on_the_way_than_who_answers_at_once() -> None:
    def left(count: int, age: int) -> int:
        return room(Places(going_on(WELL[1], count, since=NOW - age), {WELL}, NOW), WELL)

    assert left(PROVEN_LINGERING, LINGERS - 1) == AT_ONCE - PROVEN_LINGERING
    assert left(PROVEN_LINGERING - 1, LINGERS) == PROVEN - PROVEN_LINGERING + 1
    assert left(PROVEN_LINGERING, LINGERS) == 0


def test_one_host_and_one_tenant_hold_only_so_many_that_linger() -> None:
    outage = [
        one for n in range(LINGERING) for one in going_on(f"c{n}", 1, since=NOW - SECOND, tenant=f"t{n}", host="h")
    ]
    places = Places(outage, (), NOW)
    assert room(places, ("other", "chan_x"), "h") == 0
    assert room(places, ("other", "chan_x"), "elsewhere") == UNPROVEN
    tarpits = [one for n in range(LINGERING) for one in going_on(f"c{n}", 1, since=NOW - SECOND)]
    places = Places(tarpits, {WELL}, NOW)
    assert room(places, ("acme", "chan_x"), "elsewhere") == 0
    assert room(places, ("globex", "chan_x"), "elsewhere") == UNPROVEN
    assert room(places, WELL) == PROVEN


attempts = st.builds(
    lambda tenant, channel, age: Attempt((tenant, channel), channel, NOW - age),
    st.sampled_from(["acme", "globex"]),
    st.sampled_from("abcdef"),
    st.integers(0, 20 * SECOND),
)


@given(st.lists(attempts, max_size=300))
def test_there_is_room_for_the_well_unless_too_much_has_just_begun(many: list[Attempt]) -> None:
    places = Places(many, {WELL}, NOW)
    young = sum(NOW - one.since < LINGERS for one in many)
    assert room(places, WELL) == min(AT_ONCE - young, PROVEN)
    assert MOST - len(many) >= KEPT_FREE


def test_dead_channels_alone_never_take_all_places() -> None:
    sending: list[Attempt] = []
    for step in range(40):
        now = NOW + step * LINGERS
        for n in range(step * 25, step * 25 + 25):
            channel = (f"t{n}", "dead")
            sending += [Attempt(channel, f"h{n}", now)] * max(0, room(Places(sending, (), now), channel, f"h{n}"))
    assert MOST - KEPT_FREE - UNPROVEN < len(sending) <= MOST - KEPT_FREE + AT_ONCE
    assert room(Places(sending, {WELL}, now + LINGERS), WELL) == PROVEN
