"""Every point at which a process may die in the middle of its work, one after the other, on a mesh under load."""

from collections.abc import Iterator

import pytest

from tests.crash.invariants import check
from tests.crash.points import SERVICE_OF
from tests.crash.starting import running
from tests.crash.world import World
from tests.harness import LoopThread

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def world(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with running(tmp_path_factory.mktemp("mesh"), seed=1, loop=loop_thread) as started:
        started.make_rules()
        started.start()
        started.live_in_calm()
        started.settle()
        yield started


@pytest.mark.parametrize("service", sorted(set(SERVICE_OF.values())))
def test_nothing_is_lost_wherever_a_process_dies_in_the_middle_of(world: World, service: str) -> None:
    world.start()
    points = [point for point, owner in SERVICE_OF.items() if owner == service]
    for point in points:
        world.die_at(point)
    world.settle()
    check(world.outcome(), interruptions=len(SERVICE_OF))
