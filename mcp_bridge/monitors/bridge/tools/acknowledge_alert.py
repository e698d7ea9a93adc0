"""acknowledge_alert: says that somebody takes care of alerts."""

from typing import Annotated, Any, ClassVar
from uuid import uuid4

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import ConfigDict, Field

from monitors.bridge import render
from monitors.bridge.convert import alert_detail
from monitors.bridge.models import Acknowledged
from monitors.bridge.parameters import Arguments, Names
from monitors.bridge.toolkit import Hints, ToolContext, answer, caller_of, make_tool, now_nanos
from monitors.v1 import rule_service_pb2 as pb

DESCRIPTION = (
    "Acknowledges alerts: tells everybody that someone takes care, with a note. The alerts keep firing until their "
    "condition is over. One that was acknowledged before stays as it is, and the answer says by whom and when. If one "
    "id doesn't exist none is acknowledged. To silence a rule use update_alert_rule with snooze_until."
)


def _one_or_several(schema: dict[str, Any]) -> None:
    schema["properties"]["alert_id"] = {
        "description": "One id or a list of at most 100",
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    }


class AcknowledgeArguments(Arguments):
    """The parameters."""

    model_config = ConfigDict(json_schema_extra=_one_or_several)

    former_names: ClassVar[dict[str, str]] = {**Arguments.former_names, "alert_ids": "alert_id"}

    alert_id: Annotated[Names, Field(min_length=1, max_length=100, examples=["alert_7k2m9x4cqv0d"])]
    note: Annotated[str | None, Field(description="What the others should know", max_length=2_000)] = None


async def acknowledge_alert(
    arguments: AcknowledgeArguments, context: ToolContext
) -> Annotated[CallToolResult, Acknowledged]:
    """Acknowledges."""
    caller, now = caller_of(context), now_nanos()
    ids = list(dict.fromkeys(arguments.alert_id))
    request = pb.AcknowledgeAlertsRequest(alert_ids=ids, note=arguments.note or "", request_id=uuid4().hex)
    response = await caller.write(caller.stub.AcknowledgeAlerts, request)
    already = list(response.already_acknowledged_ids)
    output = Acknowledged(
        alerts=[alert_detail(alert) for alert in response.alerts],
        acknowledged=[alert.id for alert in response.alerts if alert.id not in already],
        already_acknowledged=already or None,
    )
    return answer(output, render.acknowledged, now)


def tool() -> Tool:
    """The tool."""
    return make_tool(
        acknowledge_alert,
        AcknowledgeArguments,
        title="Acknowledge alert",
        description=DESCRIPTION,
        hints=Hints(idempotent=True),
    )
