"""The whole evaluator beside a real RuleService: opened, written to, restarted, and ended by a fault."""

import asyncio
import http.client
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from monitors.evaluator.main import Evaluator, open_evaluator
from monitors.mesh.channels import open_channel
from monitors.mesh.config import EvaluatorSettings, RulesSettings
from monitors.mesh.database import sqlite_url
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer, PortTaken
from monitors.mesh.times import DAY, from_timestamp, now_nanos
from monitors.rules.main import open_rules
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import rule_service_pb2 as rules_pb
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.evaluator.ingest.parts import TOKEN, authenticate, rule_book
from tests.harness import LoopThread


@dataclass
class Mesh:
    """RuleService and the evaluator, in one process as `monitors up` has them."""

    evaluator: Evaluator
    channel: grpc.Channel
    key: str

    @property
    def metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        return (("authorization", f"Bearer {self.key}"),)

    def write(self, body: str) -> int:
        return _write(self.evaluator.http_port, body, self.key)

    def monitors(self) -> list[str]:
        request = rules_pb.ListMonitorsRequest()
        return [one.id for one in RuleServiceStub(self.channel).ListMonitors(request, metadata=self.metadata).monitors]

    def newest(self) -> dict[str, tuple[float, int]]:
        answer = EvaluatorServiceStub(self.channel).ListSeries(pb.ListSeriesRequest(), metadata=self.metadata)
        return {one.key.field: (one.last_value, from_timestamp(one.last_time)) for one in answer.series}


def _write(port: int, body: str, key: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("POST", "/api/v2/write", body, {"Authorization": f"Token {key}"})
    status = connection.getresponse().status
    connection.close()
    return status


@asynccontextmanager
async def opened_mesh(folder: Path, *, http_port: int = 0) -> AsyncIterator[tuple[Evaluator, int, str]]:
    closing = asyncio.Event()
    target = f"unix:{folder / 'mesh.sock'}"
    async with (
        open_channel(target, TOKEN) as channel,
        open_rules(RulesSettings(sqlite_url(folder / "rules.db")), closing, channel) as rules,
    ):
        await rules.void_leases()
        key = await rules.ensure_local_key(folder / "key")
        authenticate = with_service_token(TOKEN, rules.authenticate)
        settings = EvaluatorSettings(sqlite_url(folder / "samples.db"), "127.0.0.1", http_port, 30 * DAY, target)
        server = MeshServer(authenticate, closing)
        try:
            # Left before the server stops, so that RuleService still takes what the engine has to say.
            async with open_evaluator(settings, channel, authenticate, closing) as evaluator:
                server.host(rules)
                server.host(evaluator)
                port, _ = await server.start(["127.0.0.1:0", target], variable="MONITORS_GRPC_PORT")
                yield evaluator, port, key
        finally:
            await server.stop()


@contextmanager
def mesh(loop_thread: LoopThread, folder: Path) -> Iterator[Mesh]:
    with (
        loop_thread.opened(opened_mesh(folder)) as (evaluator, port, key),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        loop_thread.run(asyncio.wait_for(evaluator.ready.wait(), 30))
        yield Mesh(evaluator, channel, key)


def test_a_point_makes_its_monitor_known_and_is_known_after_a_restart(loop_thread: LoopThread, folder: Path) -> None:
    now = now_nanos()
    with mesh(loop_thread, folder) as one:
        assert one.write(f"m,host=web x=1.5,y=2i {now}") == 204
        assert one.monitors() == ["web"]
        assert one.newest() == {"x": (1.5, now), "y": (2.0, now)}
    with mesh(loop_thread, folder) as one:
        assert one.newest() == {"x": (1.5, now), "y": (2.0, now)}
        assert one.write(f"m,host=web x=2.5 {now + 1}") == 204
        assert one.newest()["x"] == (2.5, now + 1)
        status = EvaluatorServiceStub(one.channel).GetEvaluatorStatus(
            pb.GetEvaluatorStatusRequest(), metadata=one.metadata
        )
        assert (status.series_count, status.accepted_point_count) == (2, 1)


def test_a_rule_service_that_forgot_is_told_again(loop_thread: LoopThread, folder: Path) -> None:
    with mesh(loop_thread, folder) as one:
        assert one.write("m,host=web x=1") == 204
    for path in folder.glob("rules.db*"):
        path.unlink()
    with mesh(loop_thread, folder) as one:
        # The report waits for RuleService; a write of a new series comes after it on the same channel.
        seen: list[str] = []
        for attempt in range(1_000):
            assert one.write(f"m,host=new{attempt} x=1") == 204
            seen = one.monitors()
            if "web" in seen:
                break
        assert "web" in seen


def test_what_is_known_is_reported_after_the_start(loop_thread: LoopThread, folder: Path) -> None:
    with mesh(loop_thread, folder) as one:
        assert one.write("m,host=web x=1") == 204
    # Nothing is evaluated beside a RuleService that has no rules to tell of; a new series is reported even so.
    assert loop_thread.run(_reported_before_rules_are_there(folder)) == ["new"]


async def _reported_before_rules_are_there(folder: Path) -> list[str]:
    target = f"unix:{folder / 'book.sock'}"
    settings = EvaluatorSettings(sqlite_url(folder / "samples.db"), "127.0.0.1", 0, 30 * DAY, target)
    async with (
        rule_book(target) as book,
        open_channel(target, TOKEN) as channel,
        open_evaluator(settings, channel, authenticate, asyncio.Event()) as evaluator,
    ):
        assert await asyncio.to_thread(_write, evaluator.http_port, "m,host=new x=1", "acme-key") == 204
        return [monitor for _, monitor, _ in book.reported]


def test_a_taken_http_port_is_named_with_the_fix(loop_thread: LoopThread, folder: Path, tmp_path: Path) -> None:
    async def open_second(port: int) -> None:
        async with opened_mesh(tmp_path, http_port=port):
            pytest.fail("two evaluators share a port")

    with mesh(loop_thread, folder) as one, pytest.raises(PortTaken, match="MONITORS_HTTP_PORT"):
        loop_thread.run(open_second(one.evaluator.http_port))


def test_when_the_engine_dies_whoever_holds_the_evaluator_is_told(
    loop_thread: LoopThread, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object) -> None:
        raise RuntimeError("the engine broke")

    async def hold() -> None:
        async with opened_mesh(folder):
            await asyncio.Event().wait()

    monkeypatch.setattr("monitors.evaluator.main.Engine.run", fail)
    with pytest.raises(RuntimeError, match="the engine broke"):
        loop_thread.run(hold())
