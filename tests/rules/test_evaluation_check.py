"""Whether all rules are being evaluated, as the notifier asks before it says that the mesh is alive."""

from pathlib import Path

import grpc

from monitors.mesh.times import SECOND, now_nanos, to_timestamp
from monitors.rules.model.leases import LONGEST_LAG, evaluation_problem
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.client import Client
from tests.rules.running import running

NOW = 10_000 * SECOND


def test_shards_that_nobody_holds_are_a_problem_and_so_is_an_evaluator_that_stands_still() -> None:
    assert evaluation_problem(256, [NOW], NOW) == ""
    assert evaluation_problem(255, [NOW], NOW) == "1 of 256 shards are held by no evaluator; start one"
    assert evaluation_problem(256, [NOW, NOW - LONGEST_LAG], NOW) == ""
    assert "121 seconds behind" in evaluation_problem(256, [NOW, NOW - LONGEST_LAG - SECOND], NOW)
    # An evaluator of an earlier version doesn't tell.
    assert evaluation_problem(256, [None, NOW], NOW) == ""
    assert evaluation_problem(256, [None], NOW) == ""


def test_an_evaluator_tells_with_its_leases_up_to_when_it_has_evaluated(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    with (
        loop_thread.opened(running(tmp_path)) as service,
        grpc.insecure_channel(f"127.0.0.1:{service.port}") as channel,
    ):
        client = Client.of_new_tenant(RuleServiceStub(channel), service.rules, loop_thread)

        def problem() -> str:
            answer: pb.CheckEvaluationResponse = client.mesh(pb.CheckEvaluationRequest())
            return answer.problem

        def lease(behind: int) -> None:
            time = to_timestamp(now_nanos() - behind * SECOND)
            client.mesh(pb.LeaseShardsRequest(evaluator_id="e", address="a", evaluated_time=time))

        assert problem() == "256 of 256 shards are held by no evaluator; start one"
        lease(1000)
        assert "seconds behind" in problem()
        lease(0)
        assert problem() == ""
        client.mesh(pb.LeaseShardsRequest(evaluator_id="e", address="a", leaving=True))
        assert "held by no evaluator" in problem()
