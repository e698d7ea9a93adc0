"""create_alert_rule: checks a rule, says what it means, and saves it."""

from typing import Annotated
from uuid import uuid4

import grpc
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult
from pydantic import ConfigDict, Field

from monitors.bridge import render
from monitors.bridge.convert import clean, rule_detail, series_row
from monitors.bridge.errors import BridgeError, RpcFailed
from monitors.bridge.lookup import check_monitor, rules_with_title
from monitors.bridge.models import CreatedRule
from monitors.bridge.parameters import Arguments, Nanoseconds, Text, Title
from monitors.bridge.previews import Trial, all_of, preview, trial, untried
from monitors.bridge.rule_settings import RuleSettings, same_settings
from monitors.bridge.toolkit import Hints, ToolContext, answer, caller_of, make_tool, now_nanos
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

DESCRIPTION = (
    "Makes a rule that watches a monitor and tells people when its condition holds. "
    "Fires as soon as data breaks it, and resolves by itself. Conditions: "
    "'avg(response_time, 5m) > 500 for 2m', 'is_up == 0', 'cpu_percent > 90', 'latency outside 20..400', "
    "'no data for 15m', 'usage{disk=\"/\"} >= 95'. "
    "dry_run=true saves nothing and shows the canonical condition, its meaning, the series it reads, when it would "
    "have fired, better thresholds, and a chart. "
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
    backtest_window: Annotated[
        Nanoseconds | None, Field(description="With dry_run: how far back to try it, default 24h", examples=["7d"])
    ] = None


async def create_alert_rule(arguments: CreateArguments, context: ToolContext) -> Annotated[CallToolResult, CreatedRule]:
    """Creates, or with `dry_run` only checks."""
    caller, now = caller_of(context), now_nanos()
    if not arguments.monitor:
        await check_monitor(caller, None, now)
    rule = _draft(arguments)
    try:
        if arguments.dry_run:
            tried = await trial(caller, rule, arguments.backtest_window, now)
        else:
            tried = untried(await preview(caller, rule))
    except RpcFailed as error:
        if error.code is grpc.StatusCode.INVALID_ARGUMENT:
            await check_monitor(caller, rule.monitor_id, now)
        raise
    twins = [twin for twin in await rules_with_title(caller, rule.title, rule.monitor_id) if twin.title == rule.title]
    equal = next((twin for twin in twins if same_settings(twin, tried.checked.rule)), None)
    output = CreatedRule(saved=False, rule=rule_detail(equal or tried.checked.rule, now), meaning=tried.meaning)
    warnings = tried.warnings
    if arguments.dry_run:
        _show(tried, output)
    elif equal is None:
        response = await caller.write(caller.stub.CreateRule, pb.CreateRuleRequest(rule=rule, request_id=uuid4().hex))
        output.saved, output.rule = True, rule_detail(response.rule, now)
        warnings = all_of([clean(warning) for warning in response.warnings], warnings)
    if equal is not None:
        output.add_note(f"This rule is there already as {equal.id}; no second one was made.")
    elif twins:
        warnings.append(f"{twins[0].id} on this monitor has the same title and other settings")
    output.warnings = warnings or None
    return answer(output, render.created, now, image=tried.picture)


def _show(tried: Trial, output: CreatedRule) -> None:
    matches = tried.checked.matches
    output.matches = [series_row(series) for series in matches[:SHOWN_MATCHES]]
    output.matches_total = len(matches)
    output.backtest = tried.backtest
    output.add_note("Dry run: nothing was saved.")


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


def tool() -> Tool:
    """The tool."""
    return make_tool(
        create_alert_rule,
        CreateArguments,
        title="Create alert rule",
        description=DESCRIPTION,
        hints=Hints(idempotent=True),
    )
