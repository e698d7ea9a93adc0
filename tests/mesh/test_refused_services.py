"""A service whose token isn't RuleService's is told so by its own log; RuleService tells nobody more than before."""

from pathlib import Path

import grpc
import pytest

from monitors.mesh.channels import failure_of, open_channel
from monitors.v1.rule_service_pb2 import LeaseShardsRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.rules.running import running


async def refused(port: int) -> grpc.aio.AioRpcError:
    async with open_channel(f"127.0.0.1:{port}", "another-token") as channel:
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await RuleServiceStub(channel).LeaseShards(LeaseShardsRequest(evaluator_id="one"))
    return raised.value


def test_a_service_with_another_token_names_the_variable_also_when_it_has_tried_too_often(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    with loop_thread.opened(running(tmp_path)) as opened:
        errors = [loop_thread.run(refused(opened.port))]
        while errors[-1].code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            errors.append(loop_thread.run(refused(opened.port)))
    for error in (errors[0], errors[-1]):
        assert "MONITORS_SERVICE_TOKEN; give all services of the mesh the same" in failure_of(error)
        assert "another-token" not in failure_of(error)
        assert "SERVICE_TOKEN" not in (error.details() or "")


def test_what_else_fails_is_named_by_its_status_alone() -> None:
    empty = grpc.aio.Metadata()
    assert failure_of(grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty)) == "UNAVAILABLE"
