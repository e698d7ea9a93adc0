"""Following the rules: a snapshot in pieces, what changes after it, and what isn't evaluable."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from monitors.evaluator.model.spec import InstanceKey, RuleKey
from monitors.evaluator.model.state import OpenEpisode
from monitors.evaluator.watch import RuleChanges, RuleWatch
from monitors.mesh.times import DAY
from monitors.v1 import mesh_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread


class Scripted:
    """Answers WatchRules with what it was told to, one list of messages for each stream."""

    def __init__(self, *streams: list[pb.WatchRulesResponse]) -> None:
        self.streams = list(streams)
        self.asked: list[int] = []

    async def serve(self, request: pb.WatchRulesRequest, context: Any) -> AsyncIterator[pb.WatchRulesResponse]:
        self.asked.append(request.start_revision)
        messages = self.streams.pop(0) if self.streams else []
        for message in messages:
            yield message
        if not self.streams:
            await asyncio.Event().wait()


@asynccontextmanager
async def following(*streams: list[pb.WatchRulesResponse]) -> AsyncIterator[tuple[Scripted, RuleWatch]]:
    script = Scripted(*streams)
    server = grpc.aio.server()
    handler = grpc.unary_stream_rpc_method_handler(
        script.serve,
        request_deserializer=pb.WatchRulesRequest.FromString,
        response_serializer=pb.WatchRulesResponse.SerializeToString,
    )
    server.add_registered_method_handlers("monitors.v1.RuleService", {"WatchRules": handler})
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield script, RuleWatch(RuleServiceStub(channel), history=HISTORY)
    await server.stop(0)


HISTORY = 30 * DAY


def rule(rule_id: str, **fields: Any) -> mesh_pb2.WatchedRule:
    made = rule_pb2.Rule(id=rule_id, monitor_id="m", **fields)
    made.condition.absence.duration.seconds = 60
    return mesh_pb2.WatchedRule(tenant_id="t", rule=made, revision=1)


def odd(rule_id: str) -> mesh_pb2.WatchedRule:
    made = rule(rule_id)
    made.rule.condition.junction.SetInParent()
    return made


async def take(watch: RuleWatch, count: int) -> list[RuleChanges]:
    taken: list[RuleChanges] = []
    async with asyncio.timeout(20):
        async for change in watch.changes():
            taken.append(change)
            if len(taken) == count:
                break
    return taken


def ids(change: RuleChanges) -> list[str]:
    return [spec.rule_id for spec in change.put]


@pytest.fixture
def run(loop_thread: LoopThread) -> Any:
    def work(scenario: Coroutine[Any, Any, None]) -> None:
        loop_thread.run(scenario, timeout=30)

    return work


def test_a_snapshot_comes_as_one_change_once_it_is_complete(run: Any) -> None:
    async def scenario() -> None:
        pieces = [
            pb.WatchRulesResponse(rules=[rule("a"), odd("b")]),
            pb.WatchRulesResponse(rules=[rule("c"), rule("d", enabled=False)]),
            pb.WatchRulesResponse(rules=[rule("e")], revision=5, snapshot_complete=True),
            pb.WatchRulesResponse(revision=6),
            pb.WatchRulesResponse(rules=[rule("b")], deleted=[mesh_pb2.DeletedRule(tenant_id="t", rule_id="a")]),
        ]
        async with following(pieces) as (_, watch):
            snapshot, change = await take(watch, 2)
        assert (ids(snapshot), snapshot.is_snapshot) == (["a", "c", "e"], True)
        assert (snapshot.removed, snapshot.unusable) == ([RuleKey("t", "d")], [RuleKey("t", "b")])
        assert (ids(change), change.removed, change.is_snapshot) == (["b"], [RuleKey("t", "a")], False)
        assert watch.problems == {}

    run(scenario())


def test_a_snapshot_that_is_cut_off_starts_over_and_a_stream_goes_on_where_it_stopped(run: Any) -> None:
    async def scenario() -> None:
        streams = [
            [pb.WatchRulesResponse(rules=[rule("a"), odd("gone")])],
            [pb.WatchRulesResponse(rules=[rule("b")], revision=7, snapshot_complete=True)],
            [pb.WatchRulesResponse(rules=[rule("c")], revision=8)],
        ]
        async with following(*streams) as (script, watch):
            snapshot, change = await take(watch, 2)
        assert (ids(snapshot), ids(change), script.asked) == (["b"], ["c"], [0, 0, 7])
        assert watch.problems == {}

    run(scenario())


def test_an_episode_that_was_resolved_by_hand_is_passed_on(run: Any) -> None:
    async def scenario() -> None:
        episode = mesh_pb2.OpenEpisode(
            tenant_id="t", rule_id="a", monitor_id="m", group={"cpu": "0"}, episode=5, fire_time_nanos=6
        )
        messages = [
            pb.WatchRulesResponse(revision=1, snapshot_complete=True),
            pb.WatchRulesResponse(resolved=[episode], revision=2),
        ]
        async with following(messages) as (_, watch):
            _, change = await take(watch, 2)
        assert change.resolved == [OpenEpisode(InstanceKey("t", "a", "m", (("cpu", "0"),)), 5, 6)]

    run(scenario())


def test_a_rule_that_looks_back_further_than_points_are_kept_says_so_and_is_evaluated(run: Any) -> None:
    async def scenario() -> None:
        far = rule("far")
        far.rule.condition.absence.duration.seconds = 31 * 86_400
        messages = [
            pb.WatchRulesResponse(rules=[far, rule("near")], revision=1, snapshot_complete=True),
            pb.WatchRulesResponse(rules=[rule("far")], revision=2),
        ]
        async with following(messages) as (_, watch):
            async with asyncio.timeout(20):
                found = watch.changes()
                change = await anext(found)
                assert ids(change) == ["far", "near"]
                assert list(watch.problems) == [RuleKey("t", "far")]
                assert "looks back 31d" in watch.problems[RuleKey("t", "far")]
                await anext(found)
        assert watch.problems == {}

    run(scenario())
