"""Flapping said as a condition, against what is documented of it, in a plain loop."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.peers.cases import Case, Expected, PeerRule, every
from tests.peers.kapacitor import PEER
from tests.peers.kapacitor_conditions import FLAPPING, STEPS
from tests.peers.runner import observe, plainly, play

HISTORY = 21
LIGHTEST, HEAVIEST = Fraction("0.8"), Fraction("1.2")
LOW, HIGH = Fraction("0.25"), Fraction("0.50")


def flapping(levels: list[int]) -> list[bool]:
    """Whether a level flaps after each of its states, of which the last 21 count.

    Each of the twenty changes for which they have room has a weight, from 0.8 for the oldest to 1.2 for the newest. It
    begins to flap once the weights of those that took place are more than half of twenty, and ceases once they are less
    than a quarter.
    """
    room = HISTORY - 1
    flaps, found = False, []
    for now in range(len(levels)):
        share = Fraction(0)
        for age in range(min(now, room)):
            if levels[now - age] != levels[now - age - 1]:
                share += (HEAVIEST - (HEAVIEST - LIGHTEST) * age / (room - 1)) / room
        flaps = share >= LOW if flaps else share > HIGH
        found.append(flaps)
    return found


_CALM = st.integers(0, 3).flatmap(lambda level: st.lists(st.just(level), min_size=5, max_size=25))
_WILD = st.lists(st.integers(0, 3), min_size=5, max_size=20)


@settings(max_examples=15, deadline=None)
@given(st.lists(_WILD | _CALM, min_size=2, max_size=3))
def test_a_condition_says_when_a_level_flaps(parts: list[list[int]]) -> None:
    levels = [level for part in parts for level in part]
    case = Case(PEER, "random levels", 1, (FLAPPING,), {"level/one": every(1, *levels)}, Expected())
    states = play(case).states
    assert [states["flapping/one", second] == "firing" for second in range(len(levels))] == flapping(levels)


def test_each_change_weighs_what_its_age_says() -> None:
    # The only change is at second 1. A rule for each weight fires at the second when it is that.
    begun: dict[int, list[float]] = {57 - age: [1 + age] for age in range(HISTORY - 1)}
    begun[0] = [0, HISTORY]
    rules = tuple(PeerRule(f"{weight}", condition=f"{STEPS} == {weight}") for weight in begun)
    expected = Expected(begun={f"{weight}/one": seconds for weight, seconds in begun.items()})
    case = Case(PEER, "one change", 1, rules, {"level/one": every(1, 0, *[1] * HISTORY)}, expected)
    assert plainly(observe(play(case), expected)) == plainly(expected)


def test_flapping_begins_with_the_ninth_of_nine_changes_and_ends_with_calm() -> None:
    states = flapping([0, 1] * 5 + [1] * 30)
    assert states.index(True) == 9
    assert states[9:].index(False) == 15
