"""Token buckets that several processes share, and what becomes of them without Redis."""

from monitors.mesh.shared import Shared
from tests.harness import LoopThread
from tests.mesh.redis.conftest import slow, wait_until_used
from tests.servers.redis import RedisServer

SLOW = 0.001


def taken(loop: LoopThread, shared: Shared, times: int, key: str = "acme") -> list[bool]:
    """Whether there was a token, each time, in a bucket of three that gains next to nothing."""

    async def take() -> list[bool]:
        return [await shared.buckets.take(key, SLOW, 3) == 0 for _ in range(times)]

    return loop.run(take())


def test_two_processes_take_from_one_bucket(loop_thread: LoopThread, one: Shared, two: Shared) -> None:
    assert taken(loop_thread, one, 2) == [True, True]
    assert taken(loop_thread, two, 2) == [True, False]
    assert taken(loop_thread, one, 1) == [False]
    assert taken(loop_thread, two, 1, "globex") == [True]


def test_it_says_how_long_to_wait(loop_thread: LoopThread, one: Shared) -> None:
    assert loop_thread.run(one.buckets.take("acme", 0.1, 1)) == 0
    assert 9 < loop_thread.run(one.buckets.take("acme", 0.1, 1)) <= 10


def test_who_takes_many_owes_what_is_lacking(loop_thread: LoopThread, one: Shared, two: Shared) -> None:
    assert loop_thread.run(one.buckets.take("acme", 0.1, 3, 2)) == 0
    assert loop_thread.run(two.buckets.take("acme", 0.1, 3, 100)) == 0
    # One is there again after that of the first two is paid back, and its own.
    assert 29 < loop_thread.run(one.buckets.take("acme", 0.1, 3)) <= 30


def test_of_many_as_many_are_taken_as_there_are(loop_thread: LoopThread, one: Shared, two: Shared) -> None:
    assert loop_thread.run(one.buckets.take_some("acme", 0.1, 3, 2)) == (2, 0)
    taken, wait = loop_thread.run(two.buckets.take_some("acme", 0.1, 3, 9))
    assert taken == 1
    assert 9 < wait <= 10
    taken, again = loop_thread.run(one.buckets.take_some("acme", 0.1, 3, 9))
    assert taken == 0
    assert 9 < again <= wait


def test_a_bucket_that_is_full_again_is_forgotten(loop_thread: LoopThread, one: Shared, server: RedisServer) -> None:
    loop_thread.run(one.buckets.take("acme", 1_000_000, 5))
    loop_thread.run(one.buckets.take("globex", SLOW, 5))
    assert "monitors:bucket:globex" in server.stored_keys()
    with server.client as client:
        assert 0 < client.pttl("monitors:bucket:globex") <= 1_000_000
        # The other's time is a thousandth of a second.
        while client.exists("monitors:bucket:acme"):
            pass


def test_after_it_is_wiped_buckets_are_full_and_counting_goes_on(
    loop_thread: LoopThread, one: Shared, two: Shared, server: RedisServer
) -> None:
    assert taken(loop_thread, one, 4) == [True, True, True, False]
    server.wipe()
    assert taken(loop_thread, one, 2) == [True, True]
    assert taken(loop_thread, two, 2) == [True, False]


def test_while_it_is_away_each_process_counts_for_itself(
    loop_thread: LoopThread, one: Shared, two: Shared, server: RedisServer
) -> None:
    assert taken(loop_thread, one, 3) == [True, True, True]
    server.kill()
    assert taken(loop_thread, one, 4) == [True, True, True, False]
    assert taken(loop_thread, two, 4) == [True, True, True, False]
    server.start()
    for each in (one, two):
        wait_until_used(each)
    assert taken(loop_thread, one, 2) == [True, True]
    assert taken(loop_thread, two, 2) == [True, False]


def test_while_it_is_slow_one_call_waits_and_no_more(loop_thread: LoopThread, one: Shared, server: RedisServer) -> None:
    with slow(server):
        assert taken(loop_thread, one, 4) == [True, True, True, False]
        assert one.redis is not None
        assert not one.redis.is_used
        assert "doesn't answer" in one.problem
    wait_until_used(one)
    assert taken(loop_thread, one, 4) == [True, True, True, False]
    assert one.problem == ""
