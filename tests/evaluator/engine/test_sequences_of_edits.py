"""Engine and oracle agree while points come and rules come, change and go."""

from hypothesis import given

from tests.evaluator.engine.events import Event
from tests.evaluator.engine.sequences import World
from tests.evaluator.engine.strategies import EDITS, KNOWN, KNOWN_COUNTS, lives
from tests.fuzzing import share


@share(400)
@given(lives())
def test_points_alone(events: list[Event]) -> None:
    world = World(KNOWN, len(KNOWN))
    for event in events:
        world.play(event)


@share(400)
@given(lives(*EDITS), KNOWN_COUNTS)
def test_edits_deletions_pauses_and_new_series(events: list[Event], known_count: int) -> None:
    world = World(KNOWN, known_count)
    for event in events:
        world.play(event)
