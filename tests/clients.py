"""Plain gRPC clients, as an internal team would write them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.processes import MeshProcess


class _Bearer(grpc.UnaryUnaryClientInterceptor, grpc.UnaryStreamClientInterceptor):
    def __init__(self, key: str) -> None:
        self._metadata = (("authorization", f"Bearer {key}"),)

    def intercept_unary_unary(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with_key(client_call_details), request)

    def intercept_unary_stream(self, continuation: Any, client_call_details: Any, request: Any) -> Any:
        return continuation(self._with_key(client_call_details), request)

    def _with_key(self, details: Any) -> Any:
        return details._replace(metadata=self._metadata, timeout=details.timeout or 30)


@contextmanager
def channel(mesh: MeshProcess) -> Iterator[grpc.Channel]:
    """A channel with the local key on every call."""
    with grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}") as plain:
        yield grpc.intercept_channel(plain, _Bearer(mesh.key))


@contextmanager
def rule_service(mesh: MeshProcess) -> Iterator[RuleServiceStub]:
    """RuleService."""
    with channel(mesh) as open_channel:
        yield RuleServiceStub(open_channel)


@contextmanager
def evaluator_service(mesh: MeshProcess) -> Iterator[EvaluatorServiceStub]:
    """EvaluatorService."""
    with channel(mesh) as open_channel:
        yield EvaluatorServiceStub(open_channel)


@contextmanager
def notifier_service(mesh: MeshProcess) -> Iterator[NotifierServiceStub]:
    """NotifierService."""
    with channel(mesh) as open_channel:
        yield NotifierServiceStub(open_channel)
