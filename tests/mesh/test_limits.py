"""Token buckets: what they let through, in any order of time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.limits import MOST_BUCKETS, LocalBuckets, decide, take_some
from tests.harness import LoopThread

rates = st.sampled_from([0.5, 1.0, 3.0, 5.0, 50.0, 1000.0])
bursts = st.integers(1, 50)
pauses = st.lists(st.floats(0, 3, allow_nan=False), min_size=1, max_size=60)


@given(rates, bursts, pauses)
def test_a_bucket_gives_what_it_holds_and_gains_and_no_more(rate: float, burst: int, waits: list[float]) -> None:
    full, now, tokens = 0.0, 1000.0, float(burst)
    for wait in waits:
        now += wait
        tokens = min(float(burst), tokens + wait * rate)
        full, needed = decide(full, now, rate, burst)
        if abs(tokens - 1) > 1e-3:
            assert (needed == 0) == (tokens > 1)
            assert needed == pytest.approx(max(0.0, (1 - tokens) / rate), abs=1e-5)
        tokens -= needed == 0


@given(rates, bursts, st.floats(0, 1e6, allow_nan=False))
def test_who_waits_as_long_as_was_said_gets_a_token(rate: float, burst: int, now: float) -> None:
    full, needed = 0.0, 0.0
    while not needed:
        full, needed = decide(full, now, rate, burst)
    assert decide(full, now + needed, rate, burst)[1] == 0


@given(rates, bursts, st.floats(1, 1e6, allow_nan=False))
def test_a_clock_that_is_set_back_makes_nobody_wait_for_long(rate: float, burst: int, ahead: float) -> None:
    full, _ = decide(0.0, 1e6 + ahead, rate, burst)
    assert decide(full, 1e6, rate, burst)[1] <= (burst + 1) / rate + 1e-6


@given(rates, bursts, st.lists(st.tuples(st.floats(0, 3, allow_nan=False), st.integers(1, 100)), max_size=60))
def test_who_takes_many_gets_them_once_there_is_one_and_those_after_wait_for_what_is_owed(
    rate: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    full, now, tokens = 0.0, 1000.0, float(burst)
    for pause, count in asked:
        now += pause
        tokens = min(float(burst), tokens + pause * rate)
        full, needed = decide(full, now, rate, burst, count)
        assert needed <= burst / rate + 1e-5
        if abs(tokens - 1) > 1e-3:
            assert (needed == 0) == (tokens > 1)
        tokens -= min(count, burst) if needed == 0 else 0


@given(rates, bursts, st.lists(st.tuples(st.floats(0, 3, allow_nan=False), st.integers(0, 100)), max_size=60))
def test_of_many_as_many_are_taken_as_one_after_another_would_get(
    rate: float, burst: int, asked: list[tuple[float, int]]
) -> None:
    full, single, now = 0.0, 0.0, 1000.0
    for pause, count in asked:
        now += pause
        full, taken, _ = take_some(full, now, rate, burst, count)
        one_by_one = 0
        for _ in range(count):
            single, needed = decide(single, now, rate, burst)
            one_by_one += needed == 0
        assert abs(taken - one_by_one) <= 1  # where a token is there but for a rounding
        # A bucket that is full by now is as full as one that has been for long.
        assert max(full, now) == pytest.approx(max(single, now), abs=1.1 / rate)
        single = full


def test_each_key_has_a_bucket_of_its_own_and_full_ones_are_forgotten(loop_thread: LoopThread) -> None:
    async def take_many() -> LocalBuckets:
        buckets = LocalBuckets()
        for number in range(2 * MOST_BUCKETS):
            assert await buckets.take(f"{number}", 1e9, 1) == 0
        assert await buckets.take("slow", 0.001, 1) == 0
        assert await buckets.take("slow", 0.001, 1) > 900
        return buckets

    assert len(loop_thread.run(take_many())._full) <= MOST_BUCKETS


def test_whoever_chooses_the_keys_cannot_make_the_buckets_grow(loop_thread: LoopThread) -> None:
    async def take_many() -> LocalBuckets:
        buckets = LocalBuckets()
        await buckets.take("emptied", 0.001, 1)
        for number in range(3 * MOST_BUCKETS):
            await buckets.take(f"{number}", 0.01, 60)
        assert await buckets.take("emptied", 0.001, 1) > 0
        return buckets

    assert len(loop_thread.run(take_many())._full) <= MOST_BUCKETS
