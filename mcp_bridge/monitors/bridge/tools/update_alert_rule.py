"""update_alert_rule: changes some settings of a rule, or snoozes it, and shows before and after."""

from typing import Annotated, Any
from uuid import uuid4

from google.protobuf.field_mask_pb2 import FieldMask
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ImageContent
from pydantic import BeforeValidator, ConfigDict, Field

from monitors.bridge import render
from monitors.bridge.client import Caller
from monitors.bridge.convert import clean, rule_detail
from monitors.bridge.errors import BridgeError
from monitors.bridge.lookup import find_rule
from monitors.bridge.models import Change, Rule, UpdatedRule
from monitors.bridge.parameters import Arguments, Nanoseconds, Text, Title
from monitors.bridge.previews import all_of, look_at_saved, preview, trial, untried
from monitors.bridge.rule_settings import RuleSettings, has_for_clause, without_for_clause
from monitors.bridge.toolkit import Hints, ToolContext, answer, caller_of, make_tool, now_nanos
from monitors.bridge.values import parse_instant, to_timestamp
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb

DESCRIPTION = (
    "Changes a rule, given by rule_id or its exact title; what isn't given stays. "
    "condition to interval are as in create_alert_rule; levels, notify, labels and runbook_url replace the old value, "
    "empty removes it. snooze_until keeps the rule quiet till then. dry_run=true only shows what would change and when "
    "the changed rule would have fired. "
    "Returns before and after."
)
_CHANGEABLE = (
    "title", "condition", "for", "severity", "levels", "cooldown", "no_data", "notify", "labels", "runbook_url",
    "enabled", "interval", "snoozed_until",
)  # fmt: skip
# What changes nothing about when a rule fires.
_TOLD_ALIKE = frozenset(
    ("title", "cooldown", "notify", "labels", "annotations", "enabled", "snooze_until_time", "severity")
)
_LIFTS = ("", "off", "no", "none", "null", "now", "false", "0")


def _without_descriptions(schema: dict[str, Any]) -> None:
    # They stand in create_alert_rule, whose definition every client has too.
    for name, node in schema["properties"].items():
        if name in ("for", *RuleSettings.model_fields):
            node.pop("description", None)
            node.pop("examples", None)


class _Naming(Arguments):
    rule_id: Text = None
    title: Annotated[Text, Field(description="Exact title, if the id isn't known")] = None
    new_title: Title = None


class UpdateArguments(RuleSettings, _Naming):
    """The parameters."""

    model_config = ConfigDict(json_schema_extra=_without_descriptions)

    snooze_until: Annotated[
        str | None,
        BeforeValidator(lambda value: str(value).strip() if isinstance(value, int | float | str) else value),
        Field(description="A time, a duration from now (2h), or off", examples=["2h"]),
    ] = None
    expected_version: Annotated[Text, Field(description="Refuses if the rule has another version")] = None
    dry_run: bool = False
    backtest_window: Nanoseconds | None = None


async def update_alert_rule(arguments: UpdateArguments, context: ToolContext) -> Annotated[CallToolResult, UpdatedRule]:
    """Changes, or with `dry_run` only shows."""
    caller, now = caller_of(context), now_nanos()
    if arguments.backtest_window is not None and not arguments.dry_run:
        raise BridgeError("backtest_window: it needs dry_run=true, which saves nothing.")
    snooze = _snooze(arguments, now)
    before = await find_rule(caller, arguments.rule_id, arguments.title)
    draft = rule_pb2.Rule(id=before.id, annotations=before.annotations)
    paths = _write(arguments, snooze, draft)
    if not paths:
        raise BridgeError(
            "Nothing to change was given; give new_title, snooze_until, or a setting such as condition, severity "
            "or enabled."
        )
    # A runbook is merged into the annotations as they were read, so nobody may change them in between.
    draft.etag = arguments.expected_version or (before.etag if "annotations" in paths else "")
    image = None
    if arguments.dry_run:
        output, image = await _dry_run(caller, arguments, before, snooze, now)
    else:
        output = await _update(caller, draft, paths, now)
    if not output.changes:
        output.add_note("It was like that already.")
    return answer(output, render.updated, now, image=image)


def _snooze(arguments: UpdateArguments, now: int) -> int | None:
    """The end of the snooze in nanoseconds, 0 to lift it, None to leave it."""
    if arguments.snooze_until is None:
        return None
    if arguments.snooze_until.lower() in _LIFTS:
        return 0
    try:
        until = parse_instant(arguments.snooze_until, now, future=True)
    except ValueError as error:
        raise BridgeError(f"snooze_until: {clean(arguments.snooze_until, 60)!r}: {error}.") from error
    if until <= now:
        raise BridgeError(
            f"snooze_until: {clean(arguments.snooze_until, 60)!r} isn't in the future; give a later time, "
            f"or 'off' to lift a snooze."
        )
    return until


def _write(arguments: UpdateArguments, snooze: int | None, rule: rule_pb2.Rule) -> list[str]:
    paths = arguments.write_to(rule)
    if arguments.new_title:
        rule.title = arguments.new_title
        paths.append("title")
    if snooze is not None:
        rule.ClearField("snooze_until_time")
        if snooze:
            rule.snooze_until_time.CopyFrom(to_timestamp(snooze))
        paths.append("snooze_until_time")
    return paths


async def _update(caller: Caller, draft: rule_pb2.Rule, paths: list[str], now: int) -> UpdatedRule:
    request = pb.UpdateRuleRequest(rule=draft, update_mask=FieldMask(paths=paths), request_id=uuid4().hex)
    response = await caller.write(caller.stub.UpdateRule, request)
    after = rule_detail(response.rule, now)
    meaning, warnings = await look_at_saved(caller, response.rule.id)
    return UpdatedRule(
        saved=True,
        changes=_changes(rule_detail(response.previous, now), after),
        rule=after,
        meaning=meaning,
        warnings=all_of([clean(warning) for warning in response.warnings], warnings) or None,
    )


async def _dry_run(
    caller: Caller, arguments: UpdateArguments, before: rule_pb2.Rule, snooze: int | None, now: int
) -> tuple[UpdatedRule, ImageContent | None]:
    if arguments.expected_version and arguments.expected_version != before.etag:
        raise BridgeError(
            f"expected_version: the rule has version {before.etag!r}, not {clean(arguments.expected_version, 60)!r}; "
            f"somebody changed it since. list_alert_rules with rule_id shows it."
        )
    merged = rule_pb2.Rule()
    merged.CopyFrom(before)
    merged.ClearField("id")
    # Either the condition or its text may be sent, and the old `for` clause mustn't speak against a new one.
    merged.ClearField("condition")
    merged.condition_text = without_for_clause(before)
    text = arguments.condition_text()
    if text is not None and has_for_clause(text):
        merged.ClearField("for_duration")
    paths = _write(arguments, snooze, merged)
    if arguments.backtest_window is not None or not _TOLD_ALIKE.issuperset(paths):
        tried = await trial(caller, merged, arguments.backtest_window, now)
    else:
        tried = untried(await preview(caller, merged))
    after = rule_detail(tried.checked.rule, now)
    shown = after.model_copy(
        update={
            "id": before.id,
            "version": before.etag,
            "state": rule_detail(before, now).state if after.enabled else after.state,
        }
    )
    output = UpdatedRule(
        saved=False,
        changes=_changes(rule_detail(before, now), after),
        rule=shown,
        meaning=tried.meaning,
        warnings=tried.warnings or None,
        backtest=tried.backtest,
        note="Dry run: nothing was saved.",
    )
    return output, tried.picture


def _changes(before: Rule, after: Rule) -> list[Change]:
    old, new = before.structured(), after.structured()
    return [
        Change(parameter=name, before=old.get(name), after=new.get(name))
        for name in _CHANGEABLE
        if old.get(name) != new.get(name)
    ]


def tool() -> Tool:
    """The tool."""
    return make_tool(
        update_alert_rule,
        UpdateArguments,
        title="Update alert rule",
        description=DESCRIPTION,
        hints=Hints(destructive=True, idempotent=True),
    )
