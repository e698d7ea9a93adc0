"""list_alert_rules: the rules, and what can be watched."""

from typing import Annotated, Literal

from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import BeforeValidator, Field

from monitors.bridge import render
from monitors.bridge.client import Caller
from monitors.bridge.convert import FIELD_LIMIT, monitor_row, rule_detail, rule_row
from monitors.bridge.fitting import DEFAULT_PAGE, LONGEST_ANSWER, longest_page, page_that_fits
from monitors.bridge.lookup import filter_term, unknown_monitor
from monitors.bridge.models import Monitor, RuleList
from monitors.bridge.parameters import Arguments, Detail, Label, Limit, Severity, Text
from monitors.bridge.toolkit import Hints, ToolContext, answer, caller_of, make_tool, now_nanos
from monitors.v1 import rule_service_pb2 as pb

DESCRIPTION = (
    "Lists alert rules, newest first, or with rule_id one of them in full. include='monitors' also lists what can be "
    "watched: monitors, their fields, last values. For alerts that fire or fired use list_alerts. "
    "Returns total and next_cursor if there are more."
)

# Of few monitors many fields are shown.
FEW_MONITORS = 3
FEW_FIELDS = 8


def _several(value: object) -> object:
    # `["monitors"]` and `rules,monitors` mean what they seem to.
    if isinstance(value, list):
        value = ",".join(str(item) for item in value)
    return "monitors" if isinstance(value, str) and "monitors" in value else value


class ListArguments(Arguments):
    """The parameters."""

    monitor: Annotated[Text, Field(description="Monitor id")] = None
    query: Annotated[Text, Field(description="Part of the title")] = None
    rule_id: Text = None
    state: Literal["firing", "idle", "disabled"] | None = None
    severity: Severity | None = None
    label: Annotated[Label, Field(description="name=value")] = None
    include: Annotated[Literal["rules", "monitors"], BeforeValidator(_several)] = "rules"
    detail: Detail = "concise"
    limit: Limit = 20
    cursor: Annotated[Text, Field(description="next_cursor of the last answer")] = None


async def list_alert_rules(arguments: ListArguments, context: ToolContext) -> Annotated[CallToolResult, RuleList]:
    """Lists."""
    caller, now = caller_of(context), now_nanos()
    lists_monitors = arguments.include == "monitors"
    longest = longest_page(arguments)
    if arguments.rule_id:
        output = await _one(caller, arguments.rule_id, now)
    else:

        async def fetch(limit: int) -> RuleList:
            return await _page(caller, arguments, limit, now)

        room = min(longest, LONGEST_ANSWER // 2) if lists_monitors else longest
        output = await page_that_fits(fetch, arguments.limit, render.rules, now, room)
        if not output.total:
            output.note = await unknown_monitor(caller, arguments.monitor)
    if lists_monitors:
        output.monitors, output.monitors_total = await _monitors(caller, arguments)
        longest = max(longest, 2 * DEFAULT_PAGE)
    return answer(output, render.rules, now, longest=longest)


async def _one(caller: Caller, rule_id: str, now: int) -> RuleList:
    response = await caller.read(caller.stub.GetRule, pb.GetRuleRequest(rule_id=rule_id))
    return RuleList(rules=[rule_detail(response.rule, now)], total=1)


async def _page(caller: Caller, arguments: ListArguments, limit: int, now: int) -> RuleList:
    request = pb.ListRulesRequest(
        page_size=limit, page_token=arguments.cursor or "", filter=" AND ".join(_terms(arguments))
    )
    response = await caller.read(caller.stub.ListRules, request)
    row = rule_detail if arguments.detail == "detailed" else rule_row
    note = None
    if response.next_page_token:
        note = f"{response.total_count} rules match; monitor, query, state, severity or label narrow them."
    return RuleList(
        rules=[row(rule, now) for rule in response.rules],
        total=response.total_count,
        next_cursor=response.next_page_token or None,
        note=note,
    )


def _terms(arguments: ListArguments) -> list[str]:
    terms = []
    for name, value in (
        ("monitor_id", arguments.monitor),
        ("title", arguments.query),
        ("severity", arguments.severity),
    ):
        if value:
            terms.append(filter_term(name, value))
    if arguments.state == "disabled":
        terms.append("enabled=false")
    elif arguments.state:
        terms.append(f"state={arguments.state}")
    if arguments.label:
        name, _, value = arguments.label.partition("=")
        terms.append(filter_term(f"label.{name.strip()}", value.strip()))
    return terms


async def _monitors(caller: Caller, arguments: ListArguments) -> tuple[list[Monitor], int]:
    part = max((arguments.monitor or "").split("*"), key=len)
    request = pb.ListMonitorsRequest(page_size=arguments.limit, query=part)
    response = await caller.read(caller.stub.ListMonitors, request)
    fields = FIELD_LIMIT if len(response.monitors) <= FEW_MONITORS else FEW_FIELDS
    return [monitor_row(monitor, fields) for monitor in response.monitors], response.total_count


def tool() -> Tool:
    """The tool."""
    return make_tool(
        list_alert_rules,
        ListArguments,
        title="List alert rules",
        description=DESCRIPTION,
        hints=Hints(read_only=True, idempotent=True),
    )
