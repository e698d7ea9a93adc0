"""Engine and oracle agree over restarts, crashes, outages, moves to other evaluators and clocks that jump."""

from hypothesis import given

from tests.evaluator.engine.events import Event
from tests.evaluator.engine.sequences import World
from tests.evaluator.engine.strategies import CLOCKS, EDITS, KNOWN, KNOWN_COUNTS, RESTARTS, crashes, lives
from tests.fuzzing import share


@share(250)
@given(lives(*RESTARTS), KNOWN_COUNTS)
def test_restarts_and_moves(events: list[Event], known_count: int) -> None:
    world = World(KNOWN, known_count)
    for event in events:
        world.play(event)


@share(250)
@given(crashes())
def test_crashes_between_two_savings(events: list[Event]) -> None:
    world = World(KNOWN, len(KNOWN))
    for event in events:
        world.play(event)


@share(200)
@given(lives(*CLOCKS, oldest=5.0))
def test_clocks_and_outages(events: list[Event]) -> None:
    world = World(KNOWN, len(KNOWN))
    for event in events:
        world.play(event)


@share(300)
@given(lives(*EDITS, *RESTARTS, *CLOCKS, oldest=5.0), KNOWN_COUNTS)
def test_everything_at_once(events: list[Event], known_count: int) -> None:
    world = World(KNOWN, known_count)
    for event in events:
        world.play(event)
