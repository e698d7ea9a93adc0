"""A Redis of each test's own, and what two processes share through it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from monitors.mesh.config import RedisSettings, load_settings
from monitors.mesh.redis import link
from monitors.mesh.shared import Shared, open_shared
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.servers.redis import RedisServer, redis_server


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine isn't a slow Redis."""
    monkeypatch.setattr(link, "CALL_SECONDS", 10.0)


@contextmanager
def slow(server: RedisServer) -> Iterator[None]:
    """Makes Redis slow, and who asks it as impatient as they are in life."""
    with pytest.MonkeyPatch.context() as patch, server.slow():
        patch.setattr(link, "CALL_SECONDS", 0.1)
        yield


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as running:
        yield running


@pytest.fixture
def settings(server: RedisServer) -> RedisSettings:
    found = load_settings({"REDIS_URL": server.url}).redis
    assert found is not None
    return found


@pytest.fixture
def one(settings: RedisSettings, loop_thread: LoopThread) -> Iterator[Shared]:
    with loop_thread.opened(open_shared(settings)) as shared:
        wait_until_used(shared)
        yield shared


@pytest.fixture
def two(settings: RedisSettings, loop_thread: LoopThread) -> Iterator[Shared]:
    with loop_thread.opened(open_shared(settings)) as shared:
        wait_until_used(shared)
        yield shared


def wait_until_used(shared: Shared) -> None:
    """Waits until Redis is asked again."""
    assert shared.redis is not None
    wait_for(lambda: shared.redis and shared.redis.is_used, "the way to Redis")
