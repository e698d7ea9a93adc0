"""A mesh of its own for each file of tests of what its tenants learn of each other."""

from collections.abc import Iterator

import pytest

from tests.harness import LoopThread
from tests.tenancy.world import World, open_world


@pytest.fixture(scope="module")
def world(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two tenants who have everything."""
    with open_world(loop_thread, tmp_path_factory.mktemp("world")) as opened:
        yield opened
