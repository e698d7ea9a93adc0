"""Who a credential belongs to, remembered by all processes together, and trusted for no longer than by one."""

import time
from dataclasses import dataclass, field

import pytest

from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity import CACHE_SECONDS, Authenticate, Principal, seconds_to_trust
from monitors.mesh.known_callers import SharedAnswers, remembered
from monitors.mesh.redis.sessions import PREFIX
from monitors.mesh.session_cache import LocalSessionCache
from monitors.mesh.shared import Shared
from monitors.mesh.times import SECOND, now_nanos
from tests.harness import LoopThread
from tests.mesh.redis.conftest import slow
from tests.processes import wait_for
from tests.servers.redis import RedisServer

ANN = Principal("acme", "ann", frozenset({"rules:read"}), tier="pro")
TOKEN = "the token of the mesh"


@dataclass
class Source:
    """Whoever knows; counts how often it's asked."""

    principal: Principal = ANN
    asked: list[str] = field(default_factory=list)

    async def __call__(self, credential: str) -> Principal:
        self.asked.append(credential)
        if credential != "ann's":
            raise Unauthenticated("the credential isn't known")
        return self.principal


@pytest.fixture
def source() -> Source:
    return Source()


def identity(principal: Principal) -> tuple[object, ...]:
    return principal.tenant, principal.user, principal.scopes, principal.is_service, principal.tier


def asked(loop: LoopThread, authenticate: Authenticate) -> Principal:
    async def ask() -> Principal:
        return await authenticate("ann's")

    return loop.run(ask())


def test_one_process_asks_for_all(
    loop_thread: LoopThread, one: Shared, two: Shared, source: Source, server: RedisServer
) -> None:
    for shared in (one, two, one):
        authenticate = remembered(source, shared, TOKEN)
        for _ in range(2):
            assert identity(asked(loop_thread, authenticate)) == identity(ANN)
    assert source.asked == ["ann's"]
    (key,) = server.stored_keys()
    assert key.startswith(PREFIX)
    assert "ann" not in key.removeprefix(PREFIX)


def test_it_isnt_trusted_for_longer_than_by_whoever_asked_first(
    loop_thread: LoopThread, one: Shared, two: Shared, source: Source, server: RedisServer
) -> None:
    asked(loop_thread, remembered(source, one, TOKEN))
    (key,) = server.stored_keys()
    with server.client as client:
        client.pexpire(key, 2_000)
    assert 0 < seconds_to_trust(asked(loop_thread, remembered(source, two, TOKEN))) <= 2
    authenticate = remembered(source, two, TOKEN)

    def is_asked_again() -> bool:
        asked(loop_thread, authenticate)
        return len(source.asked) == 2

    wait_for(is_asked_again, "the end of what is remembered")


def test_a_credential_that_ends_is_over_for_all(
    loop_thread: LoopThread, one: Shared, two: Shared, source: Source
) -> None:
    source.principal = Principal("acme", "ann", expire_time=now_nanos() + 2 * SECOND)
    for shared in (one, two):
        assert seconds_to_trust(asked(loop_thread, remembered(source, shared, TOKEN))) <= 2
    assert len(source.asked) == 1


def test_what_is_refused_isnt_remembered(loop_thread: LoopThread, one: Shared, source: Source) -> None:
    authenticate = remembered(source, one, TOKEN)

    async def ask() -> None:
        await authenticate("eve's")

    for _ in range(2):
        with pytest.raises(Unauthenticated):
            loop_thread.run(ask())
    assert source.asked == ["eve's", "eve's"]


@pytest.mark.parametrize("change", ["principal", "signature", "short", "empty", "another credential", "another mesh"])
def test_what_somebody_else_has_put_there_is_nobody(loop_thread: LoopThread, source: Source, change: str) -> None:
    cache = LocalSessionCache()

    async def forge() -> Principal:
        await SharedAnswers(source, cache, TOKEN)("ann's")
        entry = await cache.get("ann's")
        assert entry is not None
        value = entry.value
        if change == "another credential":
            admin = Source(Principal("globex", "eve", frozenset({"admin"})))
            other = LocalSessionCache()
            await SharedAnswers(admin, other, TOKEN)("ann's")
            taken = await other.get("ann's")
            assert taken is not None
            # What is signed for one credential is put under another.
            await cache.put("bob's", taken.value)
            return await SharedAnswers(Anybody(), cache, TOKEN)("bob's")
        if change == "another mesh":
            return await SharedAnswers(source, cache, "the token of another mesh")("ann's")
        await cache.put(
            "ann's",
            {
                "principal": value[:-1] + bytes([value[-1] ^ 1]),
                "signature": bytes([value[0] ^ 1]) + value[1:],
                "short": value[:31],
                "empty": b"",
            }[change],
        )
        return await SharedAnswers(source, cache, TOKEN)("ann's")

    assert identity(loop_thread.run(forge())) == identity(ANN)
    assert len(source.asked) == (1 if change == "another credential" else 2)


def test_what_is_put_back_after_its_time_is_nobody(
    loop_thread: LoopThread, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = LocalSessionCache()
    loop_thread.run(kept_and_put_back(source, cache))
    assert source.asked == ["ann's"]
    # Her key is revoked, but whoever can write to Redis has kept what was signed for it.
    now = time.time_ns()
    monkeypatch.setattr("time.time_ns", lambda: now + int((CACHE_SECONDS + 1) * SECOND))
    loop_thread.run(kept_and_put_back(source, cache))
    assert source.asked == ["ann's", "ann's"]


async def kept_and_put_back(source: Source, cache: LocalSessionCache) -> None:
    """Asks whose a credential is; what is remembered of it then may be kept for long."""
    answers = SharedAnswers(source, cache, TOKEN)
    assert (await answers("ann's")).tenant == ANN.tenant
    entry = await cache.get("ann's")
    assert entry is not None
    await cache.put("ann's", entry.value)


class Anybody:
    """Takes every credential for Ann's."""

    async def __call__(self, credential: str) -> Principal:
        return ANN


def test_while_redis_is_away_everybody_is_known_all_the_same(
    loop_thread: LoopThread, one: Shared, source: Source, server: RedisServer
) -> None:
    with slow(server):
        assert identity(asked(loop_thread, remembered(source, one, TOKEN))) == identity(ANN)
    server.kill()
    assert identity(asked(loop_thread, remembered(source, one, TOKEN))) == identity(ANN)


def test_without_redis_each_process_remembers_for_itself(loop_thread: LoopThread, source: Source) -> None:
    authenticate = remembered(source, Shared(), TOKEN)
    for _ in range(3):
        assert asked(loop_thread, authenticate) == ANN
    assert len(source.asked) == 1
