"""What the mesh's audit knows of a call: the bridge, the MCP client as it calls itself, and the tool."""

from typing import Any

import pytest
from mcp import Client
from mcp_types import Implementation

from monitors.bridge.server import build_server
from monitors.bridge.source import Source
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.audit_pb2 import AuditEvent, AuditQuery
from tests.bridge.conftest import ERAS, RealService, answer_of
from tests.harness import LoopThread

RULE = {"monitor": "mon_host", "title": "CPU is high", "condition": "cpu_percent > 90"}


def audit(service: RealService, rule_id: str) -> list[AuditEvent]:
    request = pb.ListAuditEventsRequest(query=AuditQuery(resource_id=rule_id))
    return list(service.client.call(request).events)


@pytest.mark.parametrize("mode", ERAS)
def test_a_change_names_the_tool_and_the_client(loop_thread: LoopThread, real_service: RealService, mode: str) -> None:
    async def scenario() -> Any:
        server = build_server(real_service.settings)
        who = Implementation(name="Claude Desktop ☃", version="1.2")
        async with Client(server, mode=mode, client_info=who) as client:
            rule_id = answer_of(await client.call_tool("create_alert_rule", RULE)).data["rule"]["id"]
            await client.call_tool("update_alert_rule", {"rule_id": rule_id, "severity": "low"})
            await client.call_tool("delete_alert_rule", {"rule_id": rule_id, "confirm_title": "CPU is high"})
            return rule_id

    events = audit(real_service, loop_thread.run(scenario()))
    assert [event.source.tool for event in events] == ["delete_alert_rule", "update_alert_rule", "create_alert_rule"]
    for event in events:
        assert (event.source.client, bool(event.source.client_version)) == ("monitors-mcp", True)
        assert event.source.mcp_client == "Claude Desktop ☃/1.2"


def test_what_a_client_calls_itself_fits_into_the_metadata() -> None:
    metadata = dict(Source("☃" * 5000, "\n" * 5000, "create_alert_rule").metadata())
    assert all(value.isascii() and value.isprintable() for value in metadata.values())
    assert sum(map(len, metadata.values())) < 2000
