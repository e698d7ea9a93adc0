"""The session cache, alone and shared: the same behaviour, and Redis is never needed."""

from collections.abc import Iterator

import pytest

from monitors.mesh.session_cache import MOST_ENTRIES, LocalSessionCache, SessionCache
from monitors.mesh.shared import Shared
from tests.harness import LoopThread
from tests.mesh.redis.conftest import slow, wait_until_used
from tests.processes import wait_for
from tests.servers.redis import RedisServer


@pytest.fixture(params=["local", "redis"])
def cache(request: pytest.FixtureRequest) -> Iterator[SessionCache]:
    if request.param == "local":
        yield LocalSessionCache()
    else:
        shared: Shared = request.getfixturevalue("one")
        yield shared.sessions


def test_what_is_put_is_found_until_it_is_deleted(loop_thread: LoopThread, cache: SessionCache) -> None:
    run = loop_thread.run
    assert run(cache.get("token")) is None
    run(cache.put("token", b"ann"))
    run(cache.put("other", b"bob"))
    assert run(cache.get("token")) == b"ann"
    run(cache.put("token", b"anna"))
    assert run(cache.get("token")) == b"anna"
    run(cache.delete("token"))
    assert (run(cache.get("token")), run(cache.get("other"))) == (None, b"bob")


def test_an_entry_ends_in_time(loop_thread: LoopThread, cache: SessionCache) -> None:
    run = loop_thread.run
    run(cache.put("token", b"ann", 0.05))
    wait_for(lambda: run(cache.get("token")) is None, "the end of the entry")
    for seconds in (0, -1):
        run(cache.put("token", b"ann", seconds))
        assert run(cache.get("token")) is None


def test_nothing_is_remembered_for_longer_than_half_a_minute(
    loop_thread: LoopThread, one: Shared, server: RedisServer
) -> None:
    loop_thread.run(one.sessions.put("token", b"ann", 3600))
    (key,) = server.stored_keys()
    with server.client as client:
        assert 29_000 < client.pttl(key) <= 30_000
    assert "token" not in key


def test_a_cache_of_one_process_is_bounded(loop_thread: LoopThread) -> None:
    async def fill() -> LocalSessionCache:
        cache = LocalSessionCache()
        for number in range(2 * MOST_ENTRIES):
            await cache.put(f"{number}", b"")
        return cache

    cache = loop_thread.run(fill())
    assert len(cache._entries) <= MOST_ENTRIES
    assert loop_thread.run(cache.get(f"{2 * MOST_ENTRIES - 1}")) == b""


def test_what_one_process_has_put_another_finds_and_may_delete(
    loop_thread: LoopThread, one: Shared, two: Shared
) -> None:
    run = loop_thread.run
    run(one.sessions.put("token", b"ann"))
    assert run(two.sessions.get("token")) == b"ann"
    run(two.sessions.delete("token"))
    assert run(one.sessions.get("token")) is None


def test_wiped_away_or_slow_it_only_forgets(loop_thread: LoopThread, one: Shared, server: RedisServer) -> None:
    run = loop_thread.run
    run(one.sessions.put("token", b"ann"))
    server.wipe()
    assert run(one.sessions.get("token")) is None
    with slow(server):
        assert run(one.sessions.get("token")) is None
        run(one.sessions.put("token", b"bob"))
        assert run(one.sessions.get("token")) == b"bob"
        run(one.sessions.delete("token"))
        assert run(one.sessions.get("token")) is None
        run(one.sessions.put("token", b"old"))
    wait_until_used(one)
    server.kill()
    assert run(one.sessions.get("other")) is None
    run(one.sessions.put("other", b"eve"))
    assert run(one.sessions.get("other")) == b"eve"
    server.start()
    wait_until_used(one)
    run(one.sessions.put("token", b"new"))
    assert run(one.sessions.get("token")) == b"new"
