"""A service whose token isn't RuleService's is told so by its own log; RuleService tells nobody more than before."""

import asyncio
import logging
from collections.abc import Coroutine
from pathlib import Path

import grpc
import pytest

from monitors.evaluator.leases import Leases
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


async def first_warning(logger: str, running: Coroutine[None, None, None]) -> str:
    """What is logged first of all while something runs."""
    said: asyncio.Queue[str] = asyncio.Queue()
    handler = logging.Handler()
    handler.emit = lambda record: said.put_nowait(record.getMessage())  # type: ignore[method-assign]
    logging.getLogger(logger).addHandler(handler)
    task = asyncio.create_task(running)
    try:
        async with asyncio.timeout(30):
            return await said.get()
    finally:
        task.cancel()
        logging.getLogger(logger).removeHandler(handler)


def test_an_evaluator_that_isnt_let_in_says_so_in_its_log_and_not_only_when_it_is_asked(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    async def work(port: int) -> str:
        async with open_channel(f"127.0.0.1:{port}", "another-token") as channel:
            return await first_warning("monitors.evaluator.leases", Leases(RuleServiceStub(channel), "here:1").run())

    with loop_thread.opened(running(tmp_path)) as opened:
        said = loop_thread.run(work(opened.port))
    assert "MONITORS_SERVICE_TOKEN" in said


def test_what_else_fails_is_named_by_its_status_alone() -> None:
    empty = grpc.aio.Metadata()
    assert failure_of(grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, empty, empty)) == "UNAVAILABLE"
