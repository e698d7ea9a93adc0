"""Several evaluators and one RuleService: shards change hands, and what is decided is recorded by who holds them."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import pytest
from sqlalchemy import update

from monitors.evaluator import leases, states
from monitors.evaluator.leases import LeaseChange, Leases
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.shards import shard_of
from monitors.evaluator.model.spec import InstanceKey
from monitors.evaluator.recorder import Recorder
from monitors.evaluator.states import load_states, save_states
from monitors.mesh.channels import open_channel
from monitors.mesh.database import Database
from monitors.mesh.times import SECOND, now_nanos
from monitors.rules.model import leases as lease_model
from monitors.rules.service import evaluators
from monitors.rules.store.tables import shards
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.crash.proxy import FaultProxy, started
from tests.harness import LoopThread
from tests.rules.client import FLOAT, Client
from tests.rules.running import SERVICE_TOKEN, running
from tests.servers.backends import database_url

ALL = frozenset(range(256))


@pytest.fixture(autouse=True)
def _quick_hearts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEARTBEAT", "IMPATIENT_HEARTBEAT"):
        monkeypatch.setattr(leases, name, 0.05)


@dataclass
class Stage:
    """A RuleService of its own, whose shards nobody else wants."""

    client: Client
    address: str
    loop: LoopThread

    def run(self, scenario: Coroutine[Any, Any, None]) -> None:
        self.loop.run(scenario, timeout=30)


@pytest.fixture
def play(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Stage]:
    with loop_thread.opened(running(tmp_path)) as opened:
        address = f"127.0.0.1:{opened.port}"
        with grpc.insecure_channel(address) as channel:
            client = Client.of_new_tenant(RuleServiceStub(channel), opened.rules, loop_thread)
            yield Stage(client, address, loop_thread)


@dataclass
class Evaluator:
    """One that follows its leases as the engine does, but has no rules."""

    leases: Leases
    recorder: Recorder
    changes: list[LeaseChange] = field(default_factory=list)
    has: set[int] = field(default_factory=set)
    gives_back: bool = True

    async def follow(self) -> None:
        async for change in self.leases.changes():
            self.changes.append(change)
            self.has = (self.has - change.lost) | change.gained
            await self.recorder.drop(change.lost)
            if change.wanted_back and self.gives_back:
                self.has -= change.wanted_back
                await self.leases.release(change.wanted_back)

    async def until(self, count: int, changes: int = 1) -> None:
        """Waits until it has followed at least so many changes and has so many shards."""
        async with asyncio.timeout(20):
            while len(self.changes) < changes or len(self.has) != count or self.leases.held.keys() != self.has:
                await self.leases.renewed.upcoming.wait()
                await asyncio.sleep(0)


@asynccontextmanager
async def evaluator(
    stage: Stage,
    name: str,
    *,
    exclusive: bool = False,
    beats: bool = True,
    clock: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Evaluator]:
    """`beats` False: it calls only when the test lets it."""
    async with open_channel(stage.address, SERVICE_TOKEN) as channel:
        stub = RuleServiceStub(channel)
        held = Leases(stub, f"address of {name}", name, exclusive=exclusive, clock=clock)
        made = Evaluator(held, Recorder(stub, held, lambda *_: None))
        works = [made.follow(), made.recorder.run()] + ([held.run()] if beats else [])
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield made
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def test_shards_are_given_to_who_joins_and_come_back_from_who_leaves(play: Stage) -> None:
    async def scenario() -> None:
        async with evaluator(play, "one") as one:
            await one.until(256)
            assert one.leases.complete.is_set()
            async with evaluator(play, "two") as two:
                await asyncio.gather(one.until(128), two.until(128))
                assert not one.leases.complete.is_set()
                assert one.has | two.has == ALL
                assert (one.leases.problem, two.leases.problem) == ("", "")
                assert {lease.epoch for lease in two.leases.held.values()} == {2}
                await two.leases.leave()
            await one.until(256)
            assert one.changes[-1].gained == two.has
            assert not one.changes[-1].lost

    play.run(scenario())


def test_what_one_held_that_died_is_taken_over_as_its_lease_ends_not_at_the_next_heartbeat(
    play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_model, "LEASE", 2 * SECOND)

    async def scenario() -> None:
        async with evaluator(play, "one", beats=False) as one, evaluator(play, "two") as two:
            await one.leases.renew()
            await asyncio.gather(two.until(128), one_gives_half(one))
            monkeypatch.setattr(leases, "HEARTBEAT", 3600.0)
            await one.leases.renew()
            await two.until(256)

    async def one_gives_half(one: Evaluator) -> None:
        while len(one.has) != 128:
            await one.leases.renew()
            await asyncio.sleep(0)

    play.run(scenario())


def test_a_rule_service_that_stands_still_costs_no_lease_where_there_is_another(
    play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease_model, "LEASE", 2 * SECOND)
    monkeypatch.setattr(leases, "RENEW_TIMEOUT", 0.2)
    monkeypatch.setattr(leases, "PAUSE_AFTER_FAILURE", 0.05)
    port = int(play.address.rpartition(":")[2])
    ways = FaultProxy(port), FaultProxy(port)

    async def scenario() -> None:
        await started(*ways)
        both = Stage(play.client, "ipv4:" + ",".join(f"127.0.0.1:{way.port}" for way in ways), play.loop)
        async with evaluator(both, "one") as one:
            await one.until(256)
            ways[0].freeze()
            until = now_nanos() + lease_model.LEASE
            while now_nanos() < until:
                await one.leases.renewed.upcoming.wait()
            assert {lease.epoch for lease in one.leases.held.values()} == {1}
        for way in ways:
            await way.stop()

    play.run(scenario())


def test_what_is_wanted_back_is_held_until_it_is_given(play: Stage) -> None:
    async def scenario() -> None:
        async with evaluator(play, "one") as one:
            await one.until(256)
            one.gives_back = False
            async with evaluator(play, "two") as two:
                await two.leases.renew()
                await one.leases.renew()
                await one.leases.renew()
                assert (len(one.leases.held), two.leases.held) == (256, {})
                assert "128 of 128 shards are held by another" in two.leases.problem
                wanted = one.changes[-1].wanted_back
                await one.leases.release(sorted(wanted)[:1])
                assert len(one.leases.held) == 255

    play.run(scenario())


def test_a_lease_that_only_lapsed_is_no_change_and_one_that_was_voided_is(play: Stage, tmp_path: Path) -> None:
    database = Database(database_url(tmp_path / "rules.db"), name="lapse", migrations="monitors.rules.migrations")

    async def scenario() -> None:
        async with evaluator(play, "one", beats=False) as one:
            await one.leases.renew()
            await database.write(lambda session: session.execute(update(shards).values(expire_time=1)))
            await one.leases.renew()
            assert {lease.epoch for lease in one.leases.held.values()} == {2}
            await play.client.rules.void_leases()
            await asyncio.gather(one.until(256, 2), one.leases.renew())
            assert [(len(each.lost), len(each.gained)) for each in one.changes] == [(0, 256), (256, 256)]
            assert {lease.epoch for lease in one.leases.held.values()} == {4}

    play.run(scenario())
    database.close()


class Clock:
    """Seconds that pass when the test says so."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_could_not_renew_its_leases_in_time_is_alone_anew(play: Stage) -> None:
    clock, length = Clock(), lease_model.LEASE / SECOND

    async def scenario() -> None:
        async with evaluator(play, "one", beats=False, clock=clock) as one:
            assert one.leases.why_unknown == leases.WITHOUT_SHARE
            await one.leases.renew()
            assert one.leases.why_unknown == ""
            alone_since = one.leases.alone_since
            clock.now += length - 0.1
            await one.leases.renew()
            clock.now += length - 0.1
            assert (one.leases.why_unknown, one.leases.alone_since) == ("", alone_since)
            # As after a process stood still: others may have come and gone.
            clock.now += 0.1
            await one.leases.renew()
            assert one.leases.why_unknown == ""
            assert alone_since
            assert one.leases.alone_since
            assert one.leases.alone_since > alone_since
            await one.leases.leave()
            assert one.leases.why_unknown == leases.WITHOUT_SHARE

    play.run(scenario())


def test_the_time_that_an_answer_takes_is_not_of_the_lease(play: Stage) -> None:
    # When each of three answers was asked for, and when it had come.
    ticks = iter([100.0, 105.0, 109.9, 109.9, 119.9, 119.9])

    async def scenario() -> None:
        async with evaluator(play, "one", beats=False, clock=lambda: next(ticks)) as one:
            found = []
            for _ in range(3):
                await one.leases.renew()
                found.append(one.leases.alone_since)
            assert found[0] == found[1] != found[2]

    play.run(scenario())


def test_an_exclusive_evaluator_is_not_asked_to_share(play: Stage) -> None:
    async def scenario() -> None:
        async with evaluator(play, "one", exclusive=True) as one:
            await one.until(256)
            async with evaluator(play, "two", exclusive=True) as two:
                await two.leases.renew()
                await one.leases.renew()
                assert (len(one.leases.held), one.leases.problem, two.leases.held) == (256, "", {})
                assert two.leases.problem
                await one.leases.leave()
                await two.until(256)

    play.run(scenario())


def test_states_are_saved_in_calls_that_fit_and_loaded_with_what_is_open(
    play: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(states, "MESSAGE_SIZE", 1000)
    monkeypatch.setattr(evaluators, "EPISODES_A_MESSAGE", 1)
    client = play.client
    other = Client.of_new_tenant(client.stub, client.rules, client.loop)
    fired = {}
    for each in (client, other):
        rule = each.create()
        over = each.fire(rule, 50, group={"cpu": "1"})
        each.call(pb.ResolveAlertRequest(alert_id=over))
        fired[each.tenant] = (rule.id, each.fire(rule, 100, episode=90))
    shard_of_other = shard_of(other.tenant, "mon_host")

    async def scenario() -> None:
        async with evaluator(play, "one", beats=False) as one, open_channel(play.address, SERVICE_TOKEN) as channel:
            stub = RuleServiceStub(channel)
            await one.leases.renew()
            saved = {shard: bytes([shard]) * 300 for shard in range(0, 256, 2)}
            await save_states(stub, saved, one.leases.held)
            await save_states(stub, {0: b"newer"}, one.leases.held)
            loaded = await load_states(stub, list(one.leases.held.values()))
            assert loaded.states == saved | {0: b"newer"}
            assert {(each.key.tenant, each.key.rule_id, each.episode) for each in loaded.episodes} == {
                (tenant, rule_id, 90) for tenant, (rule_id, _) in fired.items()
            }
            part = await load_states(stub, [one.leases.held[shard_of_other]])
            assert {each.key.tenant for each in part.episodes} == {
                tenant for tenant in fired if shard_of(tenant, "mon_host") == shard_of_other
            }
            lost = dict(one.leases.held)
            await client.rules.void_leases()
            with pytest.raises(grpc.aio.AioRpcError, match="no longer held"):
                await save_states(stub, {2: b"late"}, lost)
            with pytest.raises(grpc.aio.AioRpcError, match="no longer held"):
                await load_states(stub, list(lost.values()))

    play.run(scenario())


def test_what_cannot_be_recorded_here_holds_nothing_else_up_and_is_dropped_when_it_is_lost(play: Stage) -> None:
    tenant = play.client.tenant
    far = next(f"m{n}" for n in range(10_000) if shard_of(tenant, f"m{n}") == 255)
    near = next(f"m{n}" for n in range(10_000) if shard_of(tenant, f"m{n}") == 0)
    rules = {}
    for monitor in (far, near):
        play.client.report(monitor, [("cpu", "x", FLOAT)])
        rules[monitor] = play.client.create("x > 1", monitor_id=monitor).id

    def firing(monitor: str, time: int) -> Transition:
        key = InstanceKey(tenant, rules[monitor], monitor, ())
        return Transition(key, 1, TransitionKind.FIRING, time, time, 2.0, "", 0)

    async def scenario() -> None:
        now = now_nanos()
        async with evaluator(play, "one", beats=False) as one:
            await one.leases.renew()
            await one.leases.release([255])
            one.recorder.add([firing(far, now), firing(near, now + 1)])
            await one.recorder.until_recorded(1)
            assert one.recorder.waiting_count == 1
            await one.recorder.drop({255})
            await one.recorder.until_recorded(2)
            assert one.recorder.waiting_count == 0

    play.run(scenario())
    alerts = play.client.call(pb.ListAlertsRequest()).alerts
    assert [alert.monitor_id for alert in alerts] == [near]
