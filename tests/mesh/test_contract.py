"""The contract: every method has a scope and a deadline, mutations can be repeated, packages share one namespace."""

import json
from importlib.resources import files
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor

from monitors.mesh.errors import MeshError
from monitors.mesh.scopes import SCOPE_OF_METHOD
from monitors.v1 import error_reason_pb2, evaluator_service_pb2, notifier_service_pb2, rule_service_pb2

ROOT = Path(__file__).parents[2]
METHODS = [
    method
    for file in (rule_service_pb2, evaluator_service_pb2, notifier_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
UNARY_METHODS = [method for method in METHODS if not method.server_streaming and not method.client_streaming]
CHANGES = (
    "Create",
    "Update",
    "Delete",
    "BatchCreate",
    "Acknowledge",
    "Resolve",
    "Register",
    "Retry",
    "Revoke",
    "Import",
)
# Made by the mesh itself, shown once only (a key), or worth nothing until it is used (a link).
NOT_REPEATABLE = {"AcknowledgeNotifications", "CreateKey", "CreateChannelLink"}


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def test_every_method_has_a_scope_and_no_other_is_listed() -> None:
    assert {path_of(method) for method in METHODS} == set(SCOPE_OF_METHOD)


@pytest.mark.parametrize(
    "method", [m for m in METHODS if not m.server_streaming and not m.client_streaming], ids=path_of
)
def test_every_unary_method_has_a_deadline(method: MethodDescriptor) -> None:
    config = json.loads((files("monitors.v1") / "service_config.json").read_text())
    listed = {(name["service"], name["method"]) for entry in config["methodConfig"] for name in entry["name"]}
    assert (method.containing_service.full_name, method.name) in listed


def test_no_stream_of_a_callers_is_repeated_by_grpc() -> None:
    # It loses messages of a stream that broke off while it was being sent, and answers as if all had come.
    config = json.loads((files("monitors.v1") / "service_config.json").read_text())
    repeated = {
        (name["service"], name["method"])
        for entry in config["methodConfig"]
        if "retryPolicy" in entry
        for name in entry["name"]
    }
    streams = {(method.containing_service.full_name, method.name) for method in METHODS if method.client_streaming}
    assert streams
    assert not streams & repeated


@pytest.mark.parametrize("method", [m for m in METHODS if m.name.startswith(CHANGES)], ids=path_of)
def test_a_change_can_be_repeated(method: MethodDescriptor) -> None:
    if method.name not in NOT_REPEATABLE:
        assert "request_id" in method.input_type.fields_by_name


def test_every_error_reason_is_documented_in_the_contract() -> None:
    known = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.DESCRIPTOR.values_by_name}

    def reasons(kind: type[MeshError]) -> set[str]:
        return {kind.reason}.union(*(reasons(child) for child in kind.__subclasses__()))

    assert reasons(MeshError) <= known


def test_the_packages_share_one_namespace() -> None:
    assert not list(ROOT.glob("*/monitors/__init__.py"))
