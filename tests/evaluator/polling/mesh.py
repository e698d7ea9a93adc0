"""RuleService and an evaluator that reads a real InfluxDB, in one process, for synchronous tests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from monitors.evaluator.main import Evaluator, open_evaluator
from monitors.evaluator.polling.acquaintance import OneOwner
from monitors.evaluator.polling.opening import Polling
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.channels import open_channel
from monitors.mesh.config import EvaluatorSettings, PollSettings, RulesSettings
from monitors.mesh.database import sqlite_url
from monitors.mesh.identity import with_service_token
from monitors.mesh.identity.owners import Owners
from monitors.mesh.server import MeshServer
from monitors.mesh.times import DAY, SECOND
from monitors.rules.main import open_rules
from monitors.v1 import alert_pb2
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import rule_service_pb2 as rules_pb
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.rules.client import Client

TOKEN = "mesh-token"
FAST = PollSettings(interval=0.2, allowance=SECOND)
"""So that tests needn't wait for long; the allowance is what a busy machine may need between measuring and writing."""


def until(look: Callable[[], Any], what: str) -> Any:
    """Waits for it, on a busy machine too."""
    return wait_for(look, what, 60)


@dataclass
class Polled:
    """A mesh whose evaluator polls."""

    evaluator: Evaluator
    channel: grpc.Channel
    client: Client

    @property
    def service(self) -> EvaluatorServiceStub:
        return EvaluatorServiceStub(self.channel)

    def status(self) -> pb.GetEvaluatorStatusResponse:
        """All of it, as an operator sees it."""
        metadata = (("authorization", f"Bearer {TOKEN}"),)
        return self.service.GetEvaluatorStatus(pb.GetEvaluatorStatusRequest(), metadata=metadata)

    def monitors(self) -> dict[str, set[str]]:
        """What RuleService knows: fields by monitor."""
        found = self.client.call(rules_pb.ListMonitorsRequest(page_size=1000)).monitors
        return {one.id: {field.field for field in one.fields} for one in found}

    def series(self, *monitors: str) -> dict[tuple[str, str], float]:
        """The newest number by monitor and field."""
        request = pb.ListSeriesRequest(monitor_ids=monitors)
        answer = self.service.ListSeries(request, metadata=self.client.metadata)
        return {(one.key.monitor_id, one.key.field): one.last_value for one in answer.series}

    def create(self, monitor: str, condition: str, *, known: str = "", **fields: Any) -> str:
        """Makes a rule once the monitor, or the `known` one of a pattern, is known."""
        wait_for(lambda: (known or monitor) in self.monitors(), f"the monitor {known or monitor}", 60)
        return self.client.create(condition, monitor_id=monitor, title=condition, **fields).id

    def alerts(self) -> list[tuple[str, str, str]]:
        """What there is: monitor, rule's title, state."""
        found = self.client.call(rules_pb.ListAlertsRequest(page_size=100)).alerts
        state = alert_pb2.AlertState.Name
        return sorted(
            (one.monitor_id, one.title, state(one.state).removeprefix("ALERT_STATE_").lower()) for one in found
        )

    def evaluated_to(self) -> int:
        status = self.status()
        return status.evaluated_time.ToNanoseconds()


@asynccontextmanager
async def opened(
    folder: Path, influx: InfluxSettings, poll: PollSettings, owners: Owners
) -> AsyncIterator[tuple[Evaluator, int, str, Any]]:
    closing = asyncio.Event()
    target = f"unix:{folder / 'mesh.sock'}"
    async with (
        open_channel(target, TOKEN) as channel,
        open_rules(RulesSettings(sqlite_url(folder / "rules.db")), closing, channel) as rules,
    ):
        await rules.void_leases()
        key = await rules.ensure_local_key(folder / "key")
        authenticate = with_service_token(TOKEN, rules.authenticate)
        settings = EvaluatorSettings(
            sqlite_url(folder / "samples.db"), "127.0.0.1", 0, 30 * DAY, target, poll=poll, is_only=True
        )
        server = MeshServer(authenticate, closing)
        polling = Polling(lambda: open_source(influx), owners)
        try:
            async with open_evaluator(settings, channel, authenticate, closing, polling=polling) as evaluator:
                server.host(rules)
                server.host(evaluator)
                port, _ = await server.start(["127.0.0.1:0", target], variable="MONITORS_GRPC_PORT")
                yield evaluator, port, key, rules
        finally:
            await server.stop()


@contextmanager
def polled_mesh(
    loop: LoopThread, folder: Path, influx: InfluxSettings, *, poll: PollSettings = FAST, owners: Owners | None = None
) -> Iterator[Polled]:
    """Runs a mesh on what is in the folder."""
    manager = opened(folder, influx, poll, owners or OneOwner("local"))
    with (
        loop.opened(manager) as (evaluator, port, key, rules),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        client = Client(RuleServiceStub(channel), "local", key, rules, loop)
        client.mirror(("ops", True))
        yield Polled(evaluator, channel, client)
