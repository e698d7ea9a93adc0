"""The session cache, alone and shared: the same behaviour, and Redis is never needed."""

from collections.abc import Callable, Iterator

import pytest

from monitors.mesh.session_cache import MOST_ENTRIES, LocalSessionCache, SessionCache
from monitors.mesh.shared import Shared
from tests.harness import LoopThread
from tests.mesh.redis.conftest import slow, wait_until_used
from tests.processes import wait_for
from tests.servers.redis import RedisServer

Found = Callable[..., bytes | None]


@pytest.fixture(params=["local", "redis"])
def cache(request: pytest.FixtureRequest) -> Iterator[SessionCache]:
    if request.param == "local":
        yield LocalSessionCache()
    else:
        shared: Shared = request.getfixturevalue("one")
        yield shared.sessions


@pytest.fixture
def found(loop_thread: LoopThread) -> Found:
    """What a cache remembers of a key; None for nothing."""

    def find(cache: SessionCache, key: str = "token") -> bytes | None:
        entry = loop_thread.run(cache.get(key))
        return entry.value if entry else None

    return find


def test_what_was_put_last_is_found(loop_thread: LoopThread, cache: SessionCache, found: Found) -> None:
    run = loop_thread.run
    assert found(cache) is None
    run(cache.put("token", b"ann"))
    run(cache.put("other", b"bob"))
    assert found(cache) == b"ann"
    run(cache.put("token", b"anna"))
    assert found(cache) == b"anna"
    assert found(cache, "other") == b"bob"


def test_an_entry_ends_in_time(loop_thread: LoopThread, cache: SessionCache, found: Found) -> None:
    run = loop_thread.run
    run(cache.put("token", b"ann", 0.05))
    wait_for(lambda: found(cache) is None, "the end of the entry")
    for seconds in (0, -1):
        run(cache.put("token", b"ann", seconds))
        assert found(cache) is None


def test_nothing_is_remembered_for_longer_than_half_a_minute(
    loop_thread: LoopThread, one: Shared, server: RedisServer
) -> None:
    loop_thread.run(one.sessions.put("token", b"ann", 3600))
    (key,) = server.stored_keys()
    with server.client as client:
        assert 1_000 < client.pttl(key) <= 30_000
    assert "token" not in key


def test_a_cache_of_one_process_is_bounded(loop_thread: LoopThread) -> None:
    async def fill() -> LocalSessionCache:
        cache = LocalSessionCache()
        for number in range(2 * MOST_ENTRIES):
            await cache.put(f"{number}", b"")
        return cache

    cache = loop_thread.run(fill())
    assert len(cache._entries) <= MOST_ENTRIES
    assert loop_thread.run(cache.get(f"{2 * MOST_ENTRIES - 1}")) is not None


def test_what_one_process_has_put_another_finds(
    loop_thread: LoopThread, one: Shared, two: Shared, found: Found
) -> None:
    run = loop_thread.run
    run(one.sessions.put("token", b"ann"))
    assert found(two.sessions) == b"ann"


def test_wiped_away_or_slow_it_only_forgets(
    loop_thread: LoopThread, one: Shared, server: RedisServer, found: Found
) -> None:
    run = loop_thread.run
    run(one.sessions.put("token", b"ann"))
    server.wipe()
    assert found(one.sessions) is None
    with slow(server):
        assert found(one.sessions) is None
        run(one.sessions.put("token", b"bob"))
        assert found(one.sessions) == b"bob"
        run(one.sessions.put("token", b"old"))
    wait_until_used(one)
    server.kill()
    assert found(one.sessions, "other") is None
    run(one.sessions.put("other", b"eve"))
    assert found(one.sessions, "other") == b"eve"
    server.start()
    wait_until_used(one)
    run(one.sessions.put("token", b"new"))
    assert found(one.sessions) == b"new"


def test_an_entry_says_how_long_it_may_be_trusted(loop_thread: LoopThread, cache: SessionCache) -> None:
    loop_thread.run(cache.put("token", b"ann", 20))
    entry = loop_thread.run(cache.get("token"))
    assert entry is not None
    assert 10 < entry.seconds_left <= 20
