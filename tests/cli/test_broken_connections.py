"""A change whose connection breaks is made all the same, and once: it's asked for again under its id."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

from monitors.cli.client import Mesh, Target, open_channel
from monitors.cli.failures import ExitCode, Failure
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, add_RuleServiceServicer_to_server


class Breaking(RuleServiceServicer):
    """Fails the first calls as gRPC itself does when a connection breaks: without a word of the mesh."""

    def __init__(self, breaks: int, code: grpc.StatusCode = grpc.StatusCode.UNAVAILABLE) -> None:
        self.breaks, self.code = breaks, code
        self.request_ids: list[str] = []

    def DeleteRule(self, request: pb.DeleteRuleRequest, context: Any) -> pb.DeleteRuleResponse:
        self.request_ids.append(request.request_id)
        if len(self.request_ids) <= self.breaks:
            context.abort(self.code, "Connection reset by peer")
        return pb.DeleteRuleResponse(resolved_alert_count=2)


@contextmanager
def calling(service: Breaking) -> Iterator[Callable[[str], pb.DeleteRuleResponse]]:
    server = grpc.server(ThreadPoolExecutor(1), options=[("grpc.so_reuseport", 0)])
    add_RuleServiceServicer_to_server(service, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        with open_channel(address, None) as channel:
            mesh = Mesh(channel, Target(address, "alk_test"))
            yield lambda request_id: mesh.call(mesh.rules.DeleteRule, pb.DeleteRuleRequest(request_id=request_id))
    finally:
        server.stop(None).wait()


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED])
def test_a_change_is_asked_for_again_under_its_id(code: grpc.StatusCode) -> None:
    service = Breaking(2, code)  # type: ignore[abstract]
    with calling(service) as delete:
        assert delete("once").resolved_alert_count == 2
    assert service.request_ids == ["once"] * 3


def test_a_change_without_an_id_is_asked_for_once() -> None:
    service = Breaking(1)  # type: ignore[abstract]
    with calling(service) as delete, pytest.raises(Failure):
        delete("")
    assert service.request_ids == [""]


def test_what_stays_broken_is_told_in_the_end() -> None:
    service = Breaking(100)  # type: ignore[abstract]
    with calling(service) as delete, pytest.raises(Failure) as failed:
        delete("once")
    assert failed.value.code == ExitCode.UNREACHABLE
    assert service.request_ids == ["once"] * 4
