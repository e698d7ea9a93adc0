"""create_alert_rule: checks a rule, says what it means, and saves it."""

from typing import Annotated
from uuid import uuid4

import grpc
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import ConfigDict, Field

from monitors.bridge import render
from monitors.bridge.client import Caller
from monitors.bridge.convert import backtest_detail, clean, rule_detail, series_row
from monitors.bridge.errors import BridgeError, RpcFailed
from monitors.bridge.lookup import check_monitor, rules_with_title
from monitors.bridge.models import CreatedRule
from monitors.bridge.parameters import Arguments, Nanoseconds, Text, Title
from monitors.bridge.previews import preview
from monitors.bridge.rule_settings import RuleSettings, same_settings
from monitors.bridge.toolkit import Hints, ToolContext, answer, caller_of, make_tool, now_nanos
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

DESCRIPTION = (
    "Makes a rule that watches a monitor and tells people when its condition holds. "
    "Fires as soon as data breaks it, and resolves by itself. Conditions: "
    "'avg(response_time, 5m) > 500 for 2m', 'is_up == 0', 'cpu_percent > 90', 'latency outside 20..400', "
    "'no data for 15m', 'usage{disk=\"/\"} >= 95'. "
    "dry_run=true saves nothing and shows the canonical condition, its meaning, the series it reads and, with "
    "backtest_window, when it would have fired. "
    "To change a rule use update_alert_rule. An equal rule isn't made twice. Returns the rule as saved."
)
SHOWN_MATCHES = 20


class _Naming(Arguments):
    monitor: Annotated[
        Text,
        Field(
            description="Its id, or a pattern with *; leave out to be told what can be watched", examples=["mon_host"]
        ),
    ] = None
    title: Annotated[Title, Field(description="Human name, at most 200 characters", examples=["Checkout is slow"])] = (
        None
    )


# pydantic lists the fields of the last base first: the order in which a reader wants them.
class CreateArguments(RuleSettings, _Naming):
    """The parameters. What is required is checked after the monitor, so that leaving out all of them lists monitors."""

    model_config = ConfigDict(json_schema_extra={"required": ["title", "condition"]})

    dry_run: bool = False
    backtest_window: Annotated[Nanoseconds | None, Field(description="With dry_run: how far back to simulate, 7d")] = (
        None
    )


async def create_alert_rule(arguments: CreateArguments, context: ToolContext) -> Annotated[CallToolResult, CreatedRule]:
    """Creates, or with `dry_run` only checks."""
    caller, now = caller_of(context), now_nanos()
    if not arguments.monitor:
        await check_monitor(caller, None)
    rule = _draft(arguments)
    checked = await _checked(caller, rule, arguments.backtest_window)
    twins = [twin for twin in await rules_with_title(caller, rule.title, rule.monitor_id) if twin.title == rule.title]
    equal = next((twin for twin in twins if same_settings(twin, checked.rule)), None)
    output = CreatedRule(
        saved=False,
        rule=rule_detail(equal or checked.rule, now),
        meaning=clean(checked.explanation, 1_000) or None,
        warnings=[clean(warning) for warning in checked.warnings] or None,
    )
    if equal is not None:
        output.note = f"This rule is there already as {equal.id}; no second one was made."
    elif arguments.dry_run:
        output.matches = [series_row(series) for series in checked.matches[:SHOWN_MATCHES]]
        if len(checked.matches) > SHOWN_MATCHES:
            output.matches_total = len(checked.matches)
        if arguments.backtest_window and checked.HasField("backtest"):
            output.backtest = backtest_detail(checked.backtest, arguments.backtest_window)
        output.note = "Dry run: nothing was saved."
    else:
        request = pb.CreateRuleRequest(rule=rule, request_id=uuid4().hex)
        response = await caller.write(caller.stub.CreateRule, request)
        output.saved, output.rule = True, rule_detail(response.rule, now)
        output.warnings = [clean(warning) for warning in response.warnings] or None
    if twins and equal is None:
        twin = f"{twins[0].id} on this monitor has the same title and other settings"
        output.warnings = [*(output.warnings or []), twin]
    return answer(output, render.created(output, now))


def _draft(arguments: CreateArguments) -> rule_pb2.Rule:
    if not arguments.title:
        raise BridgeError("title: required, such as 'Checkout is slow'.")
    if not arguments.condition:
        raise BridgeError("condition: required, such as 'avg(response_time, 5m) > 500 for 2m'.")
    if arguments.backtest_window is not None and not arguments.dry_run:
        raise BridgeError("backtest_window: it needs dry_run=true, which saves nothing.")
    rule = rule_pb2.Rule(monitor_id=arguments.monitor or "", title=arguments.title)
    arguments.write_to(rule)
    return rule


async def _checked(caller: Caller, rule: rule_pb2.Rule, window: int | None) -> pb.PreviewRuleResponse:
    try:
        return await preview(caller, rule, window)
    except RpcFailed as error:
        if error.code is grpc.StatusCode.INVALID_ARGUMENT:
            await check_monitor(caller, rule.monitor_id)
        raise


def tool() -> Tool:
    """The tool."""
    return make_tool(
        create_alert_rule,
        CreateArguments,
        title="Create alert rule",
        description=DESCRIPTION,
        hints=Hints(idempotent=True),
    )
