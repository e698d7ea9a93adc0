"""An evaluator that RuleService can't be reached from takes no points: others may have its shards, and don't know of
what it takes."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import requests
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2
from grpc_health.v1.health_pb2_grpc import HealthStub
from grpc_status import rpc_status

from monitors.evaluator import leases
from monitors.evaluator.main import open_evaluator
from monitors.evaluator.polling.acquaintance import OneOwner
from monitors.evaluator.polling.opening import Polling
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh import server as server_module
from monitors.mesh.channels import open_channel
from monitors.mesh.config import EvaluatorSettings
from monitors.mesh.database import sqlite_url
from monitors.mesh.health import ALIVE
from monitors.mesh.identity import Principal
from monitors.mesh.masking import Secret
from monitors.mesh.server import MeshServer
from monitors.mesh.times import DAY, SECOND
from monitors.rules.model import leases as lease_model
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from tests.crash.proxy import FaultProxy
from tests.evaluator.polling.mesh import FAST, until
from tests.evaluator.polling.test_writing import columns
from tests.harness import LoopThread
from tests.rules.running import SERVICE_TOKEN, running
from tests.servers.influxdb2 import ORG, TOKEN, Influx2, influx2

KEY = "key"


@dataclass
class CutOff:
    """An evaluator, and its way to RuleService."""

    loop: LoopThread
    way: FaultProxy
    http_port: int
    channel: grpc.Channel

    def push(self, value: float) -> requests.Response:
        return requests.post(
            f"http://127.0.0.1:{self.http_port}/api/v2/write",
            f"m,monitor_id=shop value={value}",
            headers={"Authorization": f"Token {KEY}"},
            timeout=30,
        )

    def send(self) -> Any:
        return EvaluatorServiceStub(self.channel).WriteSamples(
            iter([columns("shop", 1.0)]), metadata=(("authorization", f"Bearer {KEY}"),), timeout=30
        )

    def serves(self, name: str = "") -> bool:
        health: Any = HealthStub(self.channel)
        answer = health.Check(health_pb2.HealthCheckRequest(service=name))
        return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)

    def call(self, work: Any) -> None:
        async def run() -> None:
            work()

        self.loop.run(run())


@asynccontextmanager
async def opened(folder: Path, influx: Influx2) -> AsyncIterator[tuple[FaultProxy, int, int]]:
    async def authenticate(credential: str) -> Principal:
        return Principal("local", "somebody", scopes=frozenset({"samples:write"}))

    closing = asyncio.Event()
    source = InfluxSettings(influx.url, Secret(TOKEN), ORG)
    polling = Polling(lambda: open_source(source), OneOwner("local"))
    async with running(folder) as rules:
        way = FaultProxy(rules.port)
        await way.start()
        settings = EvaluatorSettings(
            sqlite_url(folder / "samples.db"), "127.0.0.1", 0, 30 * DAY, "127.0.0.1:1", poll=FAST
        )
        async with (
            open_channel(f"127.0.0.1:{way.port}", SERVICE_TOKEN) as channel,
            open_evaluator(settings, channel, authenticate, closing, polling=polling) as evaluator,
        ):
            server = MeshServer(authenticate, closing)
            server.host(evaluator)
            (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
            telling = asyncio.create_task(server.tell_readiness(evaluator.why_unready))
            yield way, evaluator.http_port, port
            closing.set()
            await telling
            await server.stop()
        await way.stop()


@pytest.fixture
def influx() -> Iterator[Influx2]:
    with influx2() as double:
        yield double


@pytest.fixture
def cut_off(
    loop_thread: LoopThread, tmp_path: Path, influx: Influx2, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CutOff]:
    monkeypatch.setattr(lease_model, "LEASE", 2 * SECOND)
    for name, seconds in (("HEARTBEAT", 0.1), ("RENEW_TIMEOUT", 0.5), ("PAUSE_AFTER_FAILURE", 0.05)):
        monkeypatch.setattr(leases, name, seconds)
    monkeypatch.setattr(server_module, "READINESS_SECONDS", 0.05)
    with (
        loop_thread.opened(opened(tmp_path, influx)) as (way, http_port, port),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        yield CutOff(loop_thread, way, http_port, channel)


def test_who_is_cut_off_from_rule_service_takes_no_points_and_takes_them_again_afterwards(
    cut_off: CutOff, influx: Influx2
) -> None:
    until(lambda: cut_off.push(1).status_code == 204, "its share of the shards")
    until(cut_off.serves, "its readiness")
    assert cut_off.send().accepted_count == 1

    cut_off.call(cut_off.way.freeze)
    until(lambda: not cut_off.serves(), "the end of its leases")
    assert cut_off.serves(ALIVE)
    answer = cut_off.push(2)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "2")
    # Another connection may lead to an evaluator that takes them.
    assert answer.headers["Connection"] == "close"
    assert leases.LAPSED in answer.json()["message"]
    health = requests.get(f"http://127.0.0.1:{cut_off.http_port}/health", timeout=30)
    assert (health.status_code, leases.LAPSED in health.json()["message"]) == (503, True)
    with pytest.raises(grpc.RpcError) as raised:
        cut_off.send()
    error: Any = raised.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert leases.LAPSED in error.details()
    retry = RetryInfo()
    assert any(one.Unpack(retry) for one in rpc_status.from_call(error).details)
    assert retry.retry_delay.seconds == 2
    assert 2.0 not in {value for series in influx.buckets["monitors"].series.values() for value in series.values()}

    cut_off.call(cut_off.way.thaw)
    until(lambda: cut_off.push(2).status_code == 204, "the leases")
    until(cut_off.serves, "its readiness")
