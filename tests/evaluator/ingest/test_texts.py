"""Rules of text in the whole evaluator: whichever way a text comes, and after a restart as before."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import numpy as np
import pytest

from monitors.evaluator.main import Evaluator, open_evaluator
from monitors.mesh.channels import open_channel
from monitors.mesh.config import EvaluatorSettings
from monitors.mesh.database import sqlite_url
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.mesh.times import DAY, SECOND, now_nanos, to_duration, to_timestamp
from monitors.v1 import alert_pb2, condition_pb2, mesh_pb2, rule_pb2
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import rule_service_pb2 as rules_pb
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from tests.evaluator.engine.contract import ContractRules
from tests.evaluator.ingest.parts import TOKEN, authenticate
from tests.evaluator.ingest.test_service import STRING, bearer, samples, series
from tests.harness import LoopThread

FIRING, RESOLVED = alert_pb2.ALERT_EVENT_KIND_FIRING, alert_pb2.ALERT_EVENT_KIND_RESOLVED


class Rules(ContractRules):
    """RuleService, which takes every series as it's reported."""

    async def ReportSeries(self, request: rules_pb.ReportSeriesRequest, context: Any) -> rules_pb.ReportSeriesResponse:
        return rules_pb.ReportSeriesResponse(types=[0] * len(request.series))  # type: ignore[list-item]


class Opened:
    """The evaluator, and both ways by which texts come to it."""

    def __init__(self, evaluator: Evaluator, stub: Any) -> None:
        self.evaluator, self.stub = evaluator, stub

    async def by_lines(self, text: str) -> None:
        url = f"http://127.0.0.1:{self.evaluator.http_port}/api/v2/write"
        line = f'm,host=web status="{text}" {now_nanos()}'
        async with aiohttp.ClientSession(headers={"Authorization": "Token acme-key"}) as session:
            assert (await session.post(url, data=line)).status == 204

    async def by_samples(self, text: str) -> None:
        point = samples(
            (0, now_nanos(), 1), defining=[series("status", STRING)], kind=np.uint64, texts=["something else", text]
        )
        assert (await self.stub.WriteSamples(iter([point]), metadata=bearer())).accepted_count == 1


@asynccontextmanager
async def opened(folder: Path, rules: Rules) -> AsyncIterator[Opened]:
    rules.closing = asyncio.Event()
    target = f"unix:{folder / 'mesh.sock'}"
    known = with_service_token(TOKEN, authenticate)
    settings = EvaluatorSettings(sqlite_url(folder / "samples.db"), "127.0.0.1", 0, 30 * DAY, target)
    server = MeshServer(known, rules.closing)
    try:
        async with (
            open_channel(target, TOKEN) as channel,
            open_evaluator(settings, channel, known, rules.closing) as evaluator,
        ):
            server.host(rules)
            server.host(evaluator)
            port, _ = await server.start(["127.0.0.1:0", target], variable="MONITORS_GRPC_PORT")
            async with asyncio.timeout(20), grpc.aio.insecure_channel(f"127.0.0.1:{port}") as clients:
                await evaluator.ready.wait()
                yield Opened(evaluator, EvaluatorServiceStub(clients))
    finally:
        await server.stop()


def rule(rule_id: str, operator: int, *texts: str) -> mesh_pb2.WatchedRule:
    """`status == "…"`, or with IN `status in (…)`."""
    comparison = condition_pb2.Comparison(
        left=condition_pb2.Expression(input=condition_pb2.Input(field="status")),
        operator=operator,  # type: ignore[arg-type]
    )
    if operator == condition_pb2.COMPARISON_OPERATOR_IN:
        comparison.texts.values.extend(texts)
    else:
        (comparison.text,) = texts
    made = rule_pb2.Rule(
        id=rule_id, monitor_id="web", enabled=True, interval=to_duration(SECOND),
        condition=condition_pb2.Condition(comparison=comparison),
    )  # fmt: skip
    return mesh_pb2.WatchedRule(tenant_id="acme", rule=made)


IS_DOWN = rule("is_down", condition_pb2.COMPARISON_OPERATOR_EQUAL, "down")
NOT_UP = rule("not_up", condition_pb2.COMPARISON_OPERATOR_NOT_EQUAL, "up")
IN_DOWN = rule("in_down", condition_pb2.COMPARISON_OPERATOR_IN, "down")
Way = Callable[[Opened, str], Awaitable[None]]


@pytest.mark.parametrize("ways", [(Opened.by_lines, Opened.by_samples), (Opened.by_samples, Opened.by_lines)])
def test_a_rule_of_text_fires_goes_on_after_a_restart_and_ends(
    loop_thread: LoopThread, folder: Path, ways: tuple[Way, Way]
) -> None:
    first, second = ways

    async def scenario() -> list[tuple[str, int, bool]]:
        rules = Rules()  # type: ignore[abstract]  # what an evaluator never calls isn't there
        await rules.put(IS_DOWN)
        async with opened(folder, rules) as one:
            await first(one, "up")
            await first(one, "down")
            await rules.wait_for(lambda: len(rules.recorded) >= 1)
        # What a new rule needs is read from what is stored.
        await rules.put(NOT_UP)
        await rules.put(IN_DOWN)
        async with opened(folder, rules) as one:
            await rules.wait_for(lambda: len(rules.recorded) >= 3)
            await second(one, "up")
            await rules.wait_for(lambda: len(rules.recorded) >= 6)
        return [(each.rule_id, each.kind, each.HasField("value")) for each in rules.recorded]

    told = loop_thread.run(scenario())
    assert told[0] == ("is_down", FIRING, False)
    assert set(told[1:3]) == {("not_up", FIRING, False), ("in_down", FIRING, False)}
    assert {(rule_id, kind, known) for rule_id, kind, known in told[3:]} == {
        (rule_id, RESOLVED, False) for rule_id in ("is_down", "not_up", "in_down")
    }


def test_a_backtest_of_texts_tells_when_and_draws_nothing(loop_thread: LoopThread, folder: Path) -> None:
    start = now_nanos() - 100 * SECOND

    async def scenario() -> tuple[pb.BacktestResponse, pb.BacktestResponse]:
        async with opened(folder, Rules()) as one:  # type: ignore[abstract]
            said = ["up", "down", "down", "up"]
            rows = [(0, start + (place + 1) * SECOND, float(text == "down")) for place, text in enumerate(said)]
            message = samples(*rows, defining=[series("status", STRING)], kind=np.uint64, texts=["up", "down"])
            await one.stub.WriteSamples(iter([message]), metadata=bearer())

            async def tried(tested: mesh_pb2.WatchedRule) -> pb.BacktestResponse:
                request = pb.BacktestRequest(rule=tested.rule, start_time=to_timestamp(start))
                found: pb.BacktestResponse = await one.stub.Backtest(request, metadata=bearer())
                return found

            counting = rule("counting", condition_pb2.COMPARISON_OPERATOR_EQUAL, "")
            comparison = counting.rule.condition.comparison
            comparison.operator = condition_pb2.COMPARISON_OPERATOR_GREATER
            comparison.expression.number = 1
            comparison.left.input.aggregation = condition_pb2.AGGREGATION_CHANGES
            comparison.left.input.window.CopyFrom(to_duration(10 * SECOND))
            return await tried(IS_DOWN), await tried(counting)

    found, counted = loop_thread.run(scenario())
    (interval,) = found.intervals
    assert interval.start_time == to_timestamp(start + 2 * SECOND)
    assert interval.end_time == to_timestamp(start + 4 * SECOND)
    assert not interval.HasField("value")
    assert (found.HasField("current_value"), list(found.suggestions), list(found.curves)) == (False, [], [])
    assert (counted.count, counted.intervals[0].value) == (1, 2.0)
