"""list_alerts: what fires or has fired, and why."""

import asyncio
from typing import Annotated, Literal

import grpc
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import Field

from monitors.bridge import render
from monitors.bridge.app import UI_META
from monitors.bridge.client import Caller
from monitors.bridge.convert import alert_detail, alert_row, clean, delivery_row, event_row, instance_row
from monitors.bridge.errors import BridgeError, RpcFailed
from monitors.bridge.fitting import LONGEST_ANSWER, longest_page, page_that_fits
from monitors.bridge.lookup import filter_term, find_rule, unknown_monitor
from monitors.bridge.models import AlertList, Explanation, Instance
from monitors.bridge.parameters import Arguments, Detail, Limit, Severity, Text
from monitors.bridge.toolkit import Hints, ToolContext, answer, caller_of, make_tool, now_nanos
from monitors.bridge.values import iso, parse_instant, to_timestamp
from monitors.v1 import rule_service_pb2 as pb

DESCRIPTION = (
    "Lists alerts that fire or fired, newest first, or with alert_id one of them in full. explain=true adds, for up to "
    "three alerts, their timeline, what was sent to whom, who acknowledged, and the rule's present state and numbers. "
    "For rules use list_alert_rules. Returns total and next_cursor if there are more."
)
_EXPLAINED = 3
# Of what happened to an alert, and of what was sent about it.
_LATEST = 20
_SINCE_MARK = "~"
_STATES = {
    "firing": ["state=firing"],
    "unacknowledged": ["state=firing", "acknowledged=false"],
    "acknowledged": ["acknowledged=true"],
    "resolved": ["state=resolved"],
}
# The evaluator may be away or not able to explain yet; the timeline and the deliveries are worth having without it.
_NOT_KNOWN = "How the rule is now can't be said: the evaluator can't be reached."
_NOTHING_EVALUATED = "Nothing of this rule is evaluated: it matches no series that has reported, or it's turned off."
_WITHOUT_INSTANCES = (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.UNAVAILABLE)


class ListArguments(Arguments):
    """The parameters."""

    monitor: Annotated[Text, Field(description="Monitor id")] = None
    state: Annotated[
        Literal["firing", "unacknowledged", "acknowledged", "resolved"] | None,
        Field(description="unacknowledged: fires, and nobody takes care"),
    ] = None
    severity: Severity | None = None
    rule_id: Text = None
    alert_id: Text = None
    since: Annotated[Text, Field(description="Fired since: a time, or a duration back from now (24h)")] = None
    explain: bool = False
    detail: Detail = "concise"
    limit: Limit = 20
    cursor: Annotated[Text, Field(description="next_cursor of the last answer")] = None


async def list_alerts(arguments: ListArguments, context: ToolContext) -> Annotated[CallToolResult, AlertList]:
    """Lists."""
    caller, now = caller_of(context), now_nanos()
    longest = longest_page(arguments)
    if arguments.alert_id:
        response = await caller.read(caller.stub.GetAlert, pb.GetAlertRequest(alert_id=arguments.alert_id))
        output = AlertList(alerts=[alert_detail(response.alert)], total=1)
    else:

        async def fetch(limit: int) -> AlertList:
            return await _page(caller, arguments, limit, now)

        room = min(longest, LONGEST_ANSWER // 2) if arguments.explain else longest
        output = await page_that_fits(fetch, arguments.limit, render.alerts, now, room)
        if not output.total:
            output.note = await _why_none(caller, arguments)
    if arguments.explain:
        output.explanations = await _explanations(caller, arguments, output)
        longest = LONGEST_ANSWER
    return answer(output, render.alerts, now, longest=longest)


async def _why_none(caller: Caller, arguments: ListArguments) -> str | None:
    """What may have been meant otherwise, so that nobody takes it for quiet. Raises BridgeError for an unknown rule."""
    if arguments.rule_id:
        await find_rule(caller, arguments.rule_id, None)
    return await unknown_monitor(caller, arguments.monitor)


async def _page(caller: Caller, arguments: ListArguments, limit: int, now: int) -> AlertList:
    # A page belongs to its filter. "Since 2h" moves with the clock, so the cursor keeps the time that it first meant.
    token, _, since = (arguments.cursor or "").partition(_SINCE_MARK)
    if arguments.since and not since:
        since = _since(arguments.since, now)
    filters = " AND ".join(_terms(arguments, since))
    request = pb.ListAlertsRequest(page_size=limit, page_token=token, filter=filters)
    response = await caller.read(caller.stub.ListAlerts, request)
    row = alert_detail if arguments.detail == "detailed" else alert_row
    output = AlertList(alerts=[row(alert) for alert in response.alerts], total=response.total_count)
    if response.total_count_is_capped:
        output.total_is_capped = True
    if response.next_page_token:
        output.next_cursor = response.next_page_token + (f"{_SINCE_MARK}{since}" if since else "")
        counted = f"{'more than ' if response.total_count_is_capped else ''}{response.total_count}"
        output.note = f"{counted} alerts match; state, monitor, severity, rule_id or since narrow them."
    return output


def _terms(arguments: ListArguments, since: str) -> list[str]:
    terms = list(_STATES[arguments.state]) if arguments.state else []
    filters = (
        ("monitor_id", arguments.monitor),
        ("rule_id", arguments.rule_id),
        ("severity", arguments.severity),
        ("since", since),
    )
    return [*terms, *(filter_term(name, value) for name, value in filters if value)]


def _since(text: str, now: int) -> str:
    try:
        nanos = parse_instant(text, now, future=False)
    except ValueError as error:
        raise BridgeError(f"since: {clean(text, 60)!r}: {error}.") from error
    return iso(to_timestamp(nanos))


async def _explanations(caller: Caller, arguments: ListArguments, output: AlertList) -> list[Explanation]:
    ids = [alert.id for alert in output.alerts[:_EXPLAINED]]
    if len(output.alerts) > _EXPLAINED:
        output.add_note(f"Explained are the first {_EXPLAINED}; alert_id explains another.")
    if ids:
        return list(await asyncio.gather(*(_explanation(caller, alert_id) for alert_id in ids)))
    if arguments.rule_id:
        instances = await instances_of(caller, pb.ExplainRuleRequest(rule_id=arguments.rule_id))
        if instances:
            return [Explanation(rule_id=arguments.rule_id, instances=instances)]
        output.add_note(_NOT_KNOWN if instances is None else _NOTHING_EVALUATED)
    return []


async def _explanation(caller: Caller, alert_id: str) -> Explanation:
    response = await caller.read(caller.stub.GetAlert, pb.GetAlertRequest(alert_id=alert_id))
    return Explanation(
        alert_id=alert_id,
        instances=await instances_of(caller, pb.ExplainRuleRequest(alert_id=alert_id)),
        timeline=[event_row(event) for event in response.timeline[-_LATEST:]],
        earlier_events=max(0, len(response.timeline) - _LATEST) or None,
        deliveries=[delivery_row(delivery) for delivery in response.deliveries[-_LATEST:]],
        earlier_deliveries=max(0, len(response.deliveries) - _LATEST) or None,
    )


async def instances_of(caller: Caller, request: pb.ExplainRuleRequest) -> list[Instance] | None:
    """At most ten instances of a rule, firing ones first; None if the evaluator can't be asked."""
    try:
        response = await caller.read(caller.stub.ExplainRule, request)
    except RpcFailed as error:
        if error.code in _WITHOUT_INSTANCES:
            return None
        raise
    return [instance_row(instance) for instance in response.instances[:10]]


def tool() -> Tool:
    """The tool."""
    return make_tool(
        list_alerts,
        ListArguments,
        title="List alerts",
        description=DESCRIPTION,
        hints=Hints(read_only=True, idempotent=True),
        meta=UI_META,
    )
