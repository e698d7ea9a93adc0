"""Several engines that share the shards out on a real RuleService and one history."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from sqlalchemy import delete, select, update

from monitors.evaluator.engine import Engine
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.mesh.channels import open_channel
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.times import SECOND, now_nanos
from monitors.rules.store.tables import alerts, evaluators, shards
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.evaluator.engine.contract import MemoryHistory
from tests.harness import LoopThread
from tests.rules.client import FLOAT, Client
from tests.rules.running import SERVICE_TOKEN, running
from tests.tenants import of_all

MONITORS = [f"m{number}" for number in range(10)]
TENANT = "t"


@dataclass
class Peer:
    """An engine that runs."""

    engine: Engine
    address: str
    closing: asyncio.Event
    task: asyncio.Task[None]
    channel: grpc.aio.Channel


@dataclass
class Service:
    """A RuleService with a database to look into."""

    client: Client
    address: str
    database: Database

    async def recorded(self) -> list[tuple[Any, ...]]:
        """The alerts: title, monitor, episode, when it fired and was resolved and why."""
        columns = (alerts.c.title, alerts.c.monitor_id, alerts.c.episode, alerts.c.fire_time, alerts.c.resolve_time,
                   alerts.c.resolve_reason)  # fmt: skip
        rows = await self.database.read(of_all(lambda session: session.execute(select(*columns)).all()))
        return sorted((tuple(row) for row in rows), key=str)

    async def end_leases(self, address: str) -> None:
        """Lets the leases of an evaluator run out now."""

        def work(session: Any) -> None:
            session.execute(update(shards).where(shards.c.address == address).values(expire_time=1))
            session.execute(delete(evaluators).where(evaluators.c.address == address))

        await self.database.write(of_all(work))


@dataclass
class Mesh:
    """Engines on one RuleService and one history; all are fed everything."""

    service: Service
    history: MemoryHistory = field(default_factory=MemoryHistory)
    peers: list[Peer] = field(default_factory=list)
    begun: int = field(default_factory=lambda: now_nanos() - 120 * SECOND)
    joined: int = 0

    async def join(self, service: Service | None = None, *, exclusive: bool = False) -> Peer:
        """Starts an engine."""
        self.joined += 1
        service = service or self.service
        address, closing = f"127.0.0.1:{self.joined}", asyncio.Event()
        channel = open_channel(service.address, SERVICE_TOKEN)
        engine = Engine(RuleServiceStub(channel), self.history, closing, address, exclusive=exclusive, name=address)
        peer = Peer(engine, address, closing, asyncio.create_task(engine.run()), channel)
        self.peers.append(peer)
        return peer

    async def leave(self, peer: Peer) -> None:
        """Ends an engine as an operator does."""
        peer.closing.set()
        await asyncio.wait_for(peer.task, 20)
        await self._forget(peer)

    async def crash(self, peer: Peer) -> None:
        """Ends an engine without a farewell, and its leases with it."""
        await self._forget(peer)
        await self.service.end_leases(peer.address)

    async def _forget(self, peer: Peer) -> None:
        self.peers.remove(peer)
        peer.task.cancel()
        await asyncio.gather(peer.task, return_exceptions=True)
        await peer.channel.close()

    async def write(self, *rows: tuple[str, float]) -> None:
        """Stores points of monitors, all of one time and each batch half a second after the one before."""
        known = {one.key.monitor: one.index for one in self.history.known}
        for monitor in dict(rows):
            if monitor not in known:
                known[monitor] = len(known)
                series = Series(known[monitor], SeriesKey(TENANT, monitor, "cpu", "x"), FieldType.FLOAT)
                self.history.known.append(series)
                for peer in self.peers:
                    peer.engine.add_series([series])
        time = self.begun + len(self.history.batches) * SECOND // 2
        batch = self.history.store((known[monitor], time, value) for monitor, value in rows)
        for peer in self.peers:
            peer.engine.push(batch)

    async def shared(self, *counts: int) -> None:
        """Waits until each engine evaluates so many shards."""
        await until(lambda: [peer.engine.status().shard_count for peer in self.peers] == list(counts))

    async def settled(self, peers: Sequence[Peer]) -> None:
        """Waits until every shard is evaluated and everything that was written is decided and recorded."""

        def is_settled() -> bool:
            everyone = [peer.engine.status() for peer in peers]
            newest = len(self.history.batches)
            return (
                sum(one.shard_count for one in everyone) == 256
                and all(one.evaluated_batch >= newest and not one.unrecorded_transitions for one in everyone)
            )  # fmt: skip

        await until(is_settled)
        # What was decided is on its way from the thread to the loop before the batch counts as evaluated.
        await asyncio.sleep(0)
        await until(is_settled)

    async def close(self) -> None:
        """Ends all that still run."""
        for peer in list(self.peers):
            await self._forget(peer)


async def until(holds: Callable[[], bool]) -> None:
    """Waits until something holds."""
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110  # nobody announces what a status tells
            await asyncio.sleep(0.01)


@contextmanager
def service(loop: LoopThread, folder: Path) -> Iterator[Service]:
    """A RuleService that knows the monitors."""
    folder.mkdir()
    with loop.opened(running(folder)) as opened:
        address = f"127.0.0.1:{opened.port}"
        with grpc.insecure_channel(address) as channel:
            key = loop.run(opened.rules.add_tenant(TENANT))
            client = Client(RuleServiceStub(channel), TENANT, key, opened.rules, loop)
            client.mirror(("ops", True))
            for monitor in MONITORS:
                client.report(monitor, [("cpu", "x", FLOAT)])
            database = Database(sqlite_url(folder / "rules.db"), name="look", migrations="monitors.rules.migrations")
            yield Service(client, address, database)
            database.close()


@asynccontextmanager
async def mesh(on: Service) -> AsyncIterator[Mesh]:
    """A mesh without engines."""
    made = Mesh(on)
    try:
        yield made
    finally:
        await made.close()
