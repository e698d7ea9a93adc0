"""What a client reads before the first call: few words, strict schemas, honest hints; and a package that is light."""

import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import requires
from typing import Any

import pytest
from mcp import Client

from tests.bridge.conftest import Tools

NAMES = [
    "create_alert_rule", "list_alert_rules", "update_alert_rule", "delete_alert_rule", "list_alerts",
    "acknowledge_alert",
]  # fmt: skip
HINTS = ("readOnlyHint", "destructiveHint", "idempotentHint", "openWorldHint")


@pytest.fixture
def definitions(tools_of_both_eras: Tools) -> list[dict[str, Any]]:
    async def listed(client: Client) -> list[dict[str, Any]]:
        result = await client.list_tools()
        return [tool.model_dump(by_alias=True, mode="json", exclude_none=True) for tool in result.tools]

    return tools_of_both_eras.with_client(listed)


def test_there_are_six_tools_in_few_words(definitions: list[dict[str, Any]], figure: Callable[[str], None]) -> None:
    assert [tool["name"] for tool in definitions] == NAMES
    visible = ("name", "title", "description", "inputSchema", "annotations")
    size = sum(
        len(json.dumps({key: tool[key] for key in visible}, separators=(",", ":"), ensure_ascii=False).encode())
        for tool in definitions
    )
    figure(f"definitions of the six tools: {size / 4:,.0f} tokens of 2,500")
    assert size / 4 <= 2_500
    assert all(len(tool["description"]) <= 1_800 for tool in definitions)


def test_every_tool_is_titled_hinted_strict_and_structured(definitions: list[dict[str, Any]]) -> None:
    for tool in definitions:
        assert tool["title"] == tool["annotations"]["title"]
        assert tool["inputSchema"]["additionalProperties"] is False
        assert tool["inputSchema"]["type"] == "object"
        assert tool["outputSchema"]["type"] == "object"
        assert "null" not in json.dumps(tool["inputSchema"])
    # A hint that the SDK doesn't know is dropped without a word, so what counts is what goes over the wire.
    hints = {tool["name"]: {name for name in HINTS if tool["annotations"][name]} for tool in definitions}
    assert hints == {
        "create_alert_rule": {"idempotentHint"},
        "list_alert_rules": {"readOnlyHint", "idempotentHint"},
        "update_alert_rule": {"destructiveHint", "idempotentHint"},
        "delete_alert_rule": {"destructiveHint", "idempotentHint"},
        "list_alerts": {"readOnlyHint", "idempotentHint"},
        "acknowledge_alert": {"idempotentHint"},
    }
    assert all(tool["annotations"].keys() == {"title", *HINTS} for tool in definitions)


def test_the_server_says_who_it_is(tools_of_both_eras: Tools) -> None:
    async def identity(client: Client) -> tuple[Any, ...]:
        assert client.server_info is not None
        return client.server_info.name, client.server_info.title, client.server_info.version, client.instructions

    name, title, version, instructions = tools_of_both_eras.with_client(identity)
    assert (name, title, version) == ("monitors", "Monitors", "0.1.0")
    assert len(instructions) <= 500


def test_the_package_needs_mcp_and_the_contract_alone() -> None:
    # What an extra brings, nobody gets who doesn't ask for it.
    needed = [requirement for requirement in requires("monitors-mcp") or [] if "extra ==" not in requirement]
    declared = {requirement.split(">")[0].strip() for requirement in needed}
    assert declared == {"mcp", "monitors-protos"}


def test_starting_the_bridge_loads_nothing_of_the_services() -> None:
    code = "import sys, monitors.bridge.main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "monitors.v1.rule_service_pb2" in loaded
    backend = (
        "sqlalchemy",
        "aiohttp",
        "numpy",
        "alembic",
        "google.rpc",
        "grpc_status",
        "monitors.mesh",
        "monitors.rules",
    )
    assert not [name for name in loaded if name.startswith(backend)]
