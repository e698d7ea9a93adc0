"""What is asked of the evaluator: there while it answers, done without while it doesn't."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from monitors.mesh.identity import SERVICE as MESH
from monitors.mesh.identity import Principal
from monitors.mesh.server import MeshServer
from monitors.v1 import evaluator_service_pb2, monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.evaluator_service_pb2_grpc import (
    EvaluatorServiceServicer,
    add_EvaluatorServiceServicer_to_server,
)
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import FIELDS, Client
from tests.rules.running import running


class Evaluator(EvaluatorServiceServicer):
    """Knows two CPUs of every tenant whose monitor is asked for."""

    def __init__(self) -> None:
        self.tenants: list[str] = []

    def add_to(self, server: grpc.aio.Server) -> str:
        add_EvaluatorServiceServicer_to_server(self, server)
        return "monitors.v1.EvaluatorService"

    async def ListSeries(
        self, request: evaluator_service_pb2.ListSeriesRequest, context: Any
    ) -> evaluator_service_pb2.ListSeriesResponse:
        self.tenants.append(request.tenant_id)
        response = evaluator_service_pb2.ListSeriesResponse()
        for number, (field, value) in enumerate([("cpu_percent", 5.0), ("cpu_percent", 7.0), ("idle", 1.0)]):
            info = response.series.add(type="FIELD_TYPE_FLOAT", last_value=value)
            info.key.CopyFrom(
                monitor_pb2.SeriesKey(
                    monitor_id=request.monitor_ids[0], measurement="cpu", field=field, tags={"cpu": str(number)}
                )
            )
            info.last_time.FromSeconds(100 + number)
        return response


async def anybody(_: str) -> Principal:
    return MESH


@asynccontextmanager
async def evaluator_server(evaluator: Evaluator) -> AsyncIterator[int]:
    server = MeshServer(anybody, asyncio.Event())
    server.host(evaluator)
    (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    yield port
    await server.stop()


@asynccontextmanager
async def with_evaluator(folder: Path, evaluator: Evaluator | None) -> AsyncIterator[tuple[int, Any]]:
    """RuleService beside an evaluator, or beside an address where nobody listens."""
    if evaluator is None:
        async with running(folder, "127.0.0.1:1") as opened:
            yield opened.port, opened
        return
    async with evaluator_server(evaluator) as port, running(folder, f"127.0.0.1:{port}") as opened:
        yield opened.port, opened


@pytest.fixture
def evaluator() -> Evaluator:
    return Evaluator()  # type: ignore[abstract]


@pytest.fixture(params=[True, False], ids=["there", "away"])
def is_there(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def caller(loop_thread: LoopThread, tmp_path: Path, evaluator: Evaluator, is_there: bool) -> Iterator[Client]:
    with (
        loop_thread.opened(with_evaluator(tmp_path, evaluator if is_there else None)) as (port, opened),
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        client = Client(RuleServiceStub(channel), "local", opened.local_key, opened.rules, loop_thread)
        client.report("mon_host", FIELDS)
        yield client


def test_monitors_are_listed_with_their_newest_values(caller: Client, evaluator: Evaluator, is_there: bool) -> None:
    (monitor,) = caller.call(pb.ListMonitorsRequest()).monitors
    field = next(each for each in monitor.fields if each.field == "cpu_percent")
    if is_there:
        assert (field.series_count, field.last_value, field.last_time.seconds) == (2, 7.0, 101)
        assert monitor.last_time.seconds == 101
        assert evaluator.tenants == ["local"]
    else:
        assert (field.series_count, field.HasField("last_value"), monitor.HasField("last_time")) == (0, False, False)


def test_a_preview_shows_what_it_matches_now(caller: Client, is_there: bool) -> None:
    rule = rule_pb2.Rule(monitor_id="mon_host", title="x", condition_text='cpu_percent{cpu!="0"} > 1')
    preview = caller.call(pb.PreviewRuleRequest(rule=rule))
    tags = [dict(each.key.tags) for each in preview.matches]
    if is_there:
        assert tags == [{"cpu": "1"}]
        rule.condition_text = 'cpu_percent{cpu="9"} > 1'
        again = caller.call(pb.PreviewRuleRequest(rule=rule))
        assert "it matches no series that has reported yet; 'cpu' is '0', '1' there" in again.warnings
        rule.condition_text = 'cpu_percent{core="0"} > 1'
        again = caller.call(pb.PreviewRuleRequest(rule=rule))
        assert "it matches no series that has reported yet; 'core' is no tag there, its tags: cpu" in again.warnings
    else:
        assert tags == []
        assert any("couldn't be checked" in warning for warning in preview.warnings)
