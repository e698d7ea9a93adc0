"""Engines that share the shards out decide together what one alone decides, whoever joins, leaves and crashes."""

import random
import tempfile
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.evaluator import leases
from monitors.mesh.times import HOUR, SECOND, now_nanos, to_duration
from tests.evaluator.engine.mesh import MONITORS, Mesh, Service, mesh, service, until
from tests.harness import LoopThread


@pytest.fixture(autouse=True, scope="module")
def _quick_hearts() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HEARTBEAT", "IMPATIENT_HEARTBEAT"):
            patch.setattr(leases, name, 0.05)
        yield


@pytest.fixture
def rules(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Service]:
    with service(loop_thread, tmp_path / "shared") as opened:
        yield opened


def run(loop: LoopThread, scenario: Coroutine[Any, Any, None]) -> None:
    loop.run(scenario, timeout=60)


async def next_slot(all_: Mesh, interval: int) -> int:
    """Waits for the first slot after the last batch, and tells when it was."""
    slot = (all_.history.batches[-1].accepted_at // interval + 1) * interval
    await until(lambda: now_nanos() > slot)
    return slot


def make(on: Service, title: str = "plain", **fields: Any) -> str:
    """`x > 10` on every monitor."""
    return on.client.create("x > 10", monitor_id="m*", title=title, **fields).id


def test_a_newcomer_gets_half_and_each_transition_is_recorded_once(loop_thread: LoopThread, rules: Service) -> None:
    make(rules)

    async def scenario() -> None:
        async with mesh(rules) as all_:
            await all_.join()
            await all_.shared(256)
            await all_.write(*((name, 20) for name in MONITORS))
            await all_.settled(all_.peers)
            await all_.join()
            await all_.shared(128, 128)
            assert [peer.engine.status().instance_count for peer in all_.peers] not in ([10, 0], [0, 10])
            await all_.write(*((name, 5) for name in MONITORS))
            await all_.write(*((name, 30) for name in MONITORS))
            await all_.settled(all_.peers)
            found = await rules.recorded()
            assert len(found) == 2 * len(MONITORS)
            assert {(one[2] - all_.begun) // (SECOND // 2) for one in found} == {0, 2}

    run(loop_thread, scenario())


def test_after_a_crash_what_was_pending_firing_and_cooling_goes_on(loop_thread: LoopThread, rules: Service) -> None:
    make(rules, "firing")
    make(rules, "pending", for_duration=to_duration(HOUR))
    make(rules, "cooling", keep_firing_for=to_duration(HOUR))
    rules.client.create("x > 10", monitor_id="m9", title="short", for_duration=to_duration(4 * SECOND))

    async def scenario() -> None:
        async with mesh(rules) as all_:
            await all_.join()
            await all_.shared(256)
            all_.begun = now_nanos() - SECOND
            await all_.write(*((name, 20) for name in MONITORS))
            await all_.write(*((name, 5) for name in MONITORS[:5]))
            await all_.settled(all_.peers)
            before = await rules.recorded()
            await all_.crash(all_.peers[0])
            await all_.join()
            await all_.shared(256)
            await until(lambda: all_.peers[0].engine.status().evaluated_to > all_.begun + 4 * SECOND)
            await all_.settled(all_.peers)
            after = [one for one in await rules.recorded() if one[0] != "short"]
            assert after == before
            (alert,) = [one for one in await rules.recorded() if one[0] == "short"]
            assert alert[2:4] == (all_.begun, all_.begun + 4 * SECOND)
            all_.begun = now_nanos() - len(all_.history.batches) * SECOND // 2
            await all_.write(*((name, 6) for name in MONITORS))
            await all_.settled(all_.peers)
            ended = {title for title, *_, resolved, _ in await rules.recorded() if resolved}
            assert ended == {"firing", "short"}

    run(loop_thread, scenario())


def test_a_zombie_is_refused_and_drops_what_it_decided(
    loop_thread: LoopThread, rules: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(rules)

    async def scenario() -> None:
        async with mesh(rules) as all_:
            # Once it has all shards it hears of nothing by itself.
            monkeypatch.setattr(leases, "HEARTBEAT", 3600.0)
            zombie = await all_.join()
            await all_.shared(256)
            heir = await all_.join()
            await heir.engine.ready.wait()
            await rules.end_leases(zombie.address)
            await until(lambda: heir.engine.status().shard_count == 256)
            all_.peers.remove(heir)
            await all_.write(*((name, 20) for name in MONITORS))
            await until(lambda: not zombie.engine.status().shard_count)
            await until(lambda: not zombie.engine.status().unrecorded_transitions)
            assert await rules.recorded() == []
            all_.peers.append(heir)
            heir.engine.add_series(all_.history.known)
            heir.engine.push(all_.history.batches[-1])
            await all_.settled([heir])
            assert len(await rules.recorded()) == len(MONITORS)

    run(loop_thread, scenario())


def test_what_a_leaving_engine_had_is_evaluated_by_the_others_at_once(loop_thread: LoopThread, rules: Service) -> None:
    make(rules)

    async def scenario() -> None:
        async with mesh(rules) as all_:
            await all_.join()
            leaver = await all_.join()
            await all_.shared(128, 128)
            await all_.write(*((name, 20) for name in MONITORS))
            await all_.settled(all_.peers)
            await all_.leave(leaver)
            await all_.write(*((name, 5) for name in MONITORS))
            await all_.shared(256)
            await all_.settled(all_.peers)
            found = await rules.recorded()
            assert [(one[1], one[4] is None) for one in found] == [(name, False) for name in MONITORS]

    run(loop_thread, scenario())


def test_what_late_points_began_outlives_a_crash_and_the_slots_that_were_over_by_then(
    loop_thread: LoopThread, rules: Service
) -> None:
    make(rules, interval=to_duration(SECOND))

    async def scenario() -> None:
        async with mesh(rules) as all_:
            await all_.join()
            await all_.shared(256)
            await all_.write(*((name, 5) for name in MONITORS))
            await next_slot(all_, SECOND)
            await all_.write(*((name, 6) for name in MONITORS))
            await all_.write(*((name, 20) for name in MONITORS))
            await all_.settled(all_.peers)
            before = await rules.recorded()
            assert len(before) == len(MONITORS)
            await all_.crash(all_.peers[0])
            await all_.join()
            await all_.settled(all_.peers)
            assert await rules.recorded() == before

    run(loop_thread, scenario())


def test_points_that_came_after_a_slot_are_not_seen_at_it_by_whoever_takes_over(
    loop_thread: LoopThread, rules: Service
) -> None:
    make(rules, for_duration=to_duration(2 * SECOND), interval=to_duration(SECOND))

    async def scenario() -> None:
        async with mesh(rules) as all_:
            await all_.join()
            await all_.shared(256)
            await all_.crash(all_.peers[0])
            await all_.write(("m1", 20))
            # Older than when it fires, so that the first slot is what sees it.
            await all_.write(("m1", 5))
            slot = await next_slot(all_, SECOND)
            await all_.write(("m1", 20))
            await all_.join()
            await all_.settled(all_.peers)
            ((*_, fired, resolved, _),) = await rules.recorded()
            assert (fired, resolved) == (all_.begun + 2 * SECOND, slot)

    run(loop_thread, scenario())


EVENT = st.sampled_from(["write", "join", "join and wait", "leave", "crash"])


@given(st.lists(EVENT, min_size=3, max_size=9), st.integers(0, 2**32))
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whoever_joins_leaves_and_crashes_what_is_recorded_is_what_one_engine_decides(
    loop_thread: LoopThread, events: list[str], seed: int
) -> None:
    with (
        tempfile.TemporaryDirectory() as folder,
        service(loop_thread, Path(folder) / "shared") as many,
        service(loop_thread, Path(folder) / "alone") as one,
    ):
        for on in (many, one):
            # A batch that is accepted right before a slot may be evaluated right after it, by one but not by another.
            slots = {"interval": to_duration(HOUR)}
            make(on, "plain", **slots)
            make(on, "for", for_duration=to_duration(2 * SECOND), **slots)
            make(on, "keeps", keep_firing_for=to_duration(HOUR), **slots)
        run(loop_thread, _live(many, one, events, random.Random(seed)))


async def _live(many: Service, one: Service, events: list[str], chance: random.Random) -> None:
    async with mesh(many) as all_:
        lone = await all_.join(one, exclusive=True)
        await lone.engine.ready.wait()
        await all_.join()
        await until(lambda: all_.peers[1].engine.status().shard_count == 256)
        for event in events:
            await _happen(all_, event, chance)
        if len(all_.peers) == 1:
            await all_.join()
        await all_.settled([lone])
        await all_.settled(all_.peers[1:])
        assert await many.recorded() == await one.recorded()


async def _happen(all_: Mesh, event: str, chance: random.Random) -> None:
    """One event; the first engine is the lone one, which nothing happens to."""
    for _ in range(3):
        some = chance.sample(MONITORS, chance.randint(1, len(MONITORS)))
        await all_.write(*((name, chance.choice([5.0, 20.0])) for name in some))
    if event.startswith("join"):
        await all_.join()
        if event == "join and wait":
            await until(lambda: sum(peer.engine.status().shard_count for peer in all_.peers[1:]) == 256)
    elif len(all_.peers) > 1 and event != "write":
        peer = chance.choice(all_.peers[1:])
        await (all_.leave(peer) if event == "leave" else all_.crash(peer))
