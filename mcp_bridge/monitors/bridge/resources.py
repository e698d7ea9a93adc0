"""The resources: what fires now, a rule in full, and the condition language. Foreign text is data as everywhere."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import grpc
from mcp.server import MCPServer
from mcp.server.lowlevel.helper_types import ReadResourceContents
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError, UnexpectedResourceError
from mcp.server.mcpserver.resources import FunctionResource, Resource

from monitors.bridge.client import Caller
from monitors.bridge.convert import alert_row, clean, policy_word, rule_detail
from monitors.bridge.errors import BridgeError, RpcFailed
from monitors.bridge.models import AlertList, Instance, Rule
from monitors.bridge.output import Output
from monitors.bridge.push import FIRING
from monitors.bridge.toolkit import Bridge, ToolContext, caller_of, now_nanos
from monitors.bridge.tools.list_alerts import instances_of
from monitors.bridge.values import format_duration, from_duration
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

RULE = "rule://{rule_id}"
CONDITIONS = "docs://conditions"
JSON, MARKDOWN = "application/json", "text/markdown"
# A host may put a resource into the conversation as it is.
MOST_ALERTS, MOST_CHARACTERS = 100, 20_000
# What isn't even an id is no rule's either.
_MISSING = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT)


class RuleInFull(Rule):
    """A rule with every setting, and where its instances stand."""

    key: str | None = None
    keep_firing_for: str | None = None
    repeat_interval: str | None = None
    missing_series: str | None = None
    group_by: list[str] | None = None
    evaluate: str | None = None
    """interval, if it is evaluated at its slots only"""
    annotations: dict[str, str] | None = None
    instances: list[Instance] | None = None
    """At most ten, firing ones first; left out while the evaluator can't be asked."""


async def firing(context: ToolContext) -> str:
    """What fires now, newest first, as list_alerts has it in concise rows."""
    caller = caller_of(context)
    request = pb.ListAlertsRequest(page_size=MOST_ALERTS, filter="state=firing")
    response = await caller.read(caller.stub.ListAlerts, request)
    output, size = AlertList(alerts=[], total=response.total_count), 0
    for alert in response.alerts:
        row = alert_row(alert)
        size += len(row.model_dump_json(exclude_none=True))
        if size > MOST_CHARACTERS:
            break
        output.alerts.append(row)
    if left_out := output.total - len(output.alerts):
        more = "more than " if response.total_count_is_capped else ""
        output.note = (
            f"{more}{left_out} older ones are left out; list_alerts with state='firing' shows all of them, and "
            "monitor, severity or rule_id narrows them."
        )
    return _json(output)


async def rule(rule_id: str, context: ToolContext) -> str:
    """A rule with all its settings, its version, and where each of its instances stands now."""
    caller = caller_of(context)
    response = await caller.read(caller.stub.GetRule, pb.GetRuleRequest(rule_id=rule_id))
    return _json(await _in_full(caller, response.rule))


async def _in_full(caller: Caller, rule: rule_pb2.Rule) -> RuleInFull:
    at_slots = rule.evaluation_mode == rule_pb2.EVALUATION_MODE_INTERVAL
    return RuleInFull(
        **rule_detail(rule, now_nanos()).model_dump(by_alias=True),
        key=rule.key or None,
        keep_firing_for=format_duration(from_duration(rule.keep_firing_for)),
        repeat_interval=format_duration(from_duration(rule.repeat_interval)),
        missing_series=policy_word(rule.missing_series_policy),
        group_by=[clean(tag, 100) for tag in rule.group_by] or None,
        evaluate="interval" if at_slots else None,
        annotations={clean(name, 64): clean(text, 4_096) for name, text in sorted(rule.annotations.items())} or None,
        instances=await instances_of(caller, pb.ExplainRuleRequest(rule_id=rule.id)),
    )


def conditions() -> str:
    """The condition language, with examples."""
    return (files("monitors.bridge") / "conditions.md").read_text(encoding="utf-8")


def all_resources() -> list[Resource]:
    """The resources without parameters, in the order in which they are listed."""
    return [
        FunctionResource(
            uri=CONDITIONS, name="conditions", title="Condition language", mime_type=MARKDOWN, fn=conditions,
            description="All that a rule's condition can say, with examples.",
        ),
        FunctionResource(
            uri=FIRING, name="firing_alerts", title="Firing alerts", mime_type=JSON, fn=_of_no_caller,
            description="The alerts that fire now, newest first. Whoever subscribes to it is told when they change.",
        ),
    ]  # fmt: skip


def _of_no_caller() -> str:
    raise ResourceError(f"{FIRING} depends on who reads it; read it in a request.")


def add_templates(server: MCPServer[Bridge]) -> None:
    """Adds the resources with parameters."""
    server.resource(RULE, name="rule", title="Rule", description=rule.__doc__, mime_type=JSON)(rule)


async def read_as_caller(uri: str, context: ToolContext) -> list[ReadResourceContents] | None:
    """A resource without parameters that depends on the caller, for which the SDK has no place; None for others."""
    return [ReadResourceContents(await firing(context), JSON)] if uri == FIRING else None


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Lets reading fail with ResourceErrors only, which say what to do and nothing of our inside."""
    try:
        yield
    except UnexpectedResourceError as error:
        if isinstance(error.__cause__, BridgeError):
            raise _worded(error.__cause__) from None
        text = f"{clean(uri, 100)} can't be read by a fault of the bridge; its log says why."
        raise UnexpectedResourceError(text) from error.__cause__
    except ResourceNotFoundError:
        raise ResourceNotFoundError(
            f"There is no resource {clean(uri, 100)!r}; those that there are: {FIRING}, {CONDITIONS}, and {RULE} with "
            "an id from list_alert_rules."
        ) from None
    except BridgeError as error:
        raise _worded(error) from None


def _worded(error: BridgeError) -> ResourceError:
    is_missing = isinstance(error, RpcFailed) and error.code in _MISSING
    return ResourceNotFoundError(str(error)) if is_missing else ResourceError(str(error))


def _json(output: Output) -> str:
    return json.dumps(output.structured(), ensure_ascii=False)
