"""What is wrong with a tool's arguments, in words from which the next call succeeds."""

import difflib
import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from monitors.bridge.errors import UNCHANGED
from monitors.bridge.parameters import Arguments

_SHOWN = 3
# What models call things elsewhere, where no likeness of letters leads to our name.
_SYNONYMS = {
    "name": "title", "expression": "condition", "query": "condition", "threshold": "condition", "operator": "condition",
    "expr": "condition", "when": "condition", "duration": "for", "for_duration": "for", "priority": "severity",
    "level": "severity", "channels": "notify", "channel": "notify", "receivers": "notify", "host": "monitor",
    "source": "monitor", "tags": "labels", "id": "rule_id", "alert": "alert_id", "ids": "alert_id", "status": "state",
    "page_token": "cursor", "page_size": "limit", "max_results": "limit", "comment": "note", "message": "note",
    "etag": "expected_version", "version": "expected_version", "mute_until": "snooze_until", "active": "enabled",
    "preview": "dry_run", "confirm": "confirm_title", "verbose": "detail", "from": "since", "start_time": "since",
    "search": "query",
}  # fmt: skip

_IMPOSSIBLE = {
    ("update_alert_rule", "monitor"): " A rule keeps its monitor: make another with create_alert_rule.",
    ("update_alert_rule", "monitor_id"): " A rule keeps its monitor: make another with create_alert_rule.",
}


def describe(error: ValidationError, tool: str, arguments: type[Arguments], *, writes: bool) -> str:
    """The text for a call whose arguments don't fit."""
    problems = [_problem(item, tool, arguments) for item in _merged(error.errors(include_url=False))]
    text = " ".join(problems[:_SHOWN])
    if len(problems) > _SHOWN:
        text += f" ({len(problems) - _SHOWN} more problems.)"
    return f"{text} {UNCHANGED}" if writes else text


def unknown_tool(name: str, tools: Sequence[str]) -> str:
    """The text for a call of a tool that doesn't exist."""
    close = difflib.get_close_matches(name, tools, n=1, cutoff=0.5)
    meant = f" Did you mean {close[0]}?" if close else ""
    return f"There is no tool {_shown(name)}.{meant} The tools are: {', '.join(tools)}."


def _merged(items: Sequence[Any]) -> list[Any]:
    """What is wrong, each parameter and value once: a union reports each of its members."""
    merged: dict[tuple[str, str], Any] = {}
    for item in items:
        known = merged.setdefault((str(item["loc"][:1]), _shown(item["input"])), {**item, "expected": []})
        expected = _EXPECTED.get(item["type"], "")
        if expected not in known["expected"]:
            known["expected"].append(expected)
    return list(merged.values())


def _problem(item: Any, tool: str, arguments: type[Arguments]) -> str:
    location = [str(part) for part in item["loc"]]
    name = location[0] if location else ""
    seen = _shown(item["input"])
    context = item.get("ctx") or {}
    match item["type"]:
        case "extra_forbidden":
            return _unknown_parameter(name, tool, arguments)
        case "missing":
            return f"{name}: required by {tool}.{_example(arguments, name)}"
        case "value_error":
            prefix = f"{name}: {seen} can't be read; " if name else ""
            return f"{prefix}{context['error']}."
        case "literal_error":
            return f"{name}: {seen} isn't one of the choices; give {context['expected'].replace(chr(39), '')}."
        case "string_too_long":
            return f"{name}: it has {len(item['input'])} characters; give at most {context['max_length']}."
        case "too_long":
            return f"{name}: {context['actual_length']} are too many; give at most {context['max_length']}."
        case "too_short" | "string_too_short":
            return f"{name}: it's empty; give at least one.{_example(arguments, name)}"
        case "greater_than_equal" | "less_than_equal":
            low, high = _bounds(arguments, name)
            return f"{name}: {seen} is out of bounds; give a whole number from {low} to {high}."
    expected = " or ".join(filter(None, item["expected"])) or "another type of value"
    return f"{name}: {seen} isn't accepted; give {expected}.{_example(arguments, name)}"


_EXPECTED = {
    "string_type": "text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "list_type": "a list",
    "dict_type": "an object",
}


def _unknown_parameter(name: str, tool: str, arguments: type[Arguments]) -> str:
    names = arguments.parameter_names()
    synonym = _SYNONYMS.get(name.lower(), "")
    close = [synonym] if synonym in names else difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.7)
    meant = f" Did you mean {close[0]}?" if close else _IMPOSSIBLE.get((tool, name), "")
    return f"{_shown(name)} isn't a parameter of {tool}.{meant} It takes: {', '.join(names)}."


def _example(arguments: type[Arguments], name: str) -> str:
    for key, field in arguments.model_fields.items():
        if (field.alias or key) == name and field.examples:
            return f" Example: {json.dumps(field.examples[0], ensure_ascii=False)}."
    return ""


def _bounds(arguments: type[Arguments], name: str) -> tuple[object, object]:
    schema = arguments.model_json_schema(by_alias=True)["properties"][name]
    return schema.get("minimum"), schema.get("maximum")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"
