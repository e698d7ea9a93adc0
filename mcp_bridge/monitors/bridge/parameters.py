"""The tools' parameters: forgiving types, strict names, and a schema without what a model needn't read."""

import json
from typing import Annotated, Any, ClassVar, Literal

from mcp.server.mcpserver.utilities.func_metadata import ArgModelBase
from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from monitors.bridge.values import parse_duration, parse_severity

LONGEST_CONDITION = 4_096
_SHORTER = "say it shorter, such as 'avg(x, 5m) > 5 and y > 1', or make several rules"


def _blank_is_absent(value: object) -> object:
    """Models send "", "null" or "none" for what they leave out."""
    if isinstance(value, str) and value.strip().lower() in ("", "null", "none", "undefined"):
        return None
    return value.strip() if isinstance(value, str) else value


def _listed(value: object) -> object:
    """One name stands for a list of it; commas separate several."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _checked_label(value: object) -> object:
    if isinstance(value, str) and ("=" not in value.strip("=") or not value.partition("=")[0].strip()):
        raise ValueError("give a label as name=value, such as 'team=payments'")
    return value


def _checked_condition(value: object) -> object:
    """Only what RuleService would look at; the rest may be too large to be sent there."""
    try:
        length = len(value if isinstance(value, str) else json.dumps(value))
    except RecursionError:
        raise ValueError(f"it's nested too deeply; {_SHORTER}") from None
    if length > LONGEST_CONDITION:
        raise ValueError(f"it has {length:,} characters, and {LONGEST_CONDITION:,} are the most; {_SHORTER}")
    return value


def _spoken(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


Nanoseconds = Annotated[int, BeforeValidator(parse_duration), WithJsonSchema({"type": "string"})]
Text = Annotated[Annotated[str, Field(max_length=4_096)] | None, BeforeValidator(_blank_is_absent)]
Title = Annotated[Annotated[str, Field(max_length=200)] | None, BeforeValidator(_blank_is_absent)]
Names = Annotated[list[str], BeforeValidator(_listed)]
Condition = Annotated[
    str | dict[str, Any],
    BeforeValidator(_checked_condition),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]}),
]
Severity = Annotated[Literal["low", "medium", "high", "critical"], BeforeValidator(parse_severity)]
NoData = Annotated[Literal["keep", "ok", "alert"], BeforeValidator(_spoken)]
Label = Annotated[Text, BeforeValidator(_checked_label)]
Detail = Annotated[Literal["concise", "detailed"], BeforeValidator(_spoken)]
Limit = Annotated[int, Field(ge=1, le=100)]


class Arguments(ArgModelBase):
    """The arguments of a tool, which takes them as one object. Unknown names are refused."""

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True, coerce_numbers_to_str=True)

    former_names: ClassVar[dict[str, str]] = {
        "monitor_id": "monitor",
        "cooldown_minutes": "cooldown",
        "is_active": "enabled",
    }
    """How the first product called them; accepted wherever the tool has the parameter, but not advertised."""

    @model_validator(mode="before")
    @classmethod
    def _renamed(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        renamed = dict(data)
        for former, name in cls.former_names.items():
            if former not in renamed or name not in cls.model_fields:
                continue
            value = renamed.pop(former)
            if name in renamed:
                raise ValueError(f"{former} and {name} are the same; give {name} alone")
            if former == "cooldown_minutes" and isinstance(value, int | float) and not isinstance(value, bool):
                value = value * 60
            elif former == "cooldown_minutes" and isinstance(value, str) and value.strip().isdigit():
                value = int(value) * 60
            renamed[name] = value
        return renamed

    def model_dump_one_level(self) -> dict[str, Any]:
        """The one argument of the tool's function."""
        return {"arguments": self}

    @classmethod
    def parameter_names(cls) -> list[str]:
        """As the model sees them."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    def given(self, name: str) -> bool:
        """Whether the caller set the parameter at all, which for an update says that it shall change."""
        return name in self.model_fields_set


def compact_schema(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema less titles, nulls and empty defaults, which cost tokens and tell a model nothing."""
    compact = {
        key: _compact(value) for key, value in schema.items() if key not in ("title", "description", "properties")
    }
    compact["properties"] = {name: _compact(value) for name, value in schema.get("properties", {}).items()}
    return compact


def _compact(node: Any) -> Any:
    if isinstance(node, list):
        return [_compact(item) for item in node]
    if not isinstance(node, dict):
        return node
    choices = [choice for choice in node.get("anyOf", []) if choice != {"type": "null"}]
    rest = {key: value for key, value in node.items() if key not in ("title", "anyOf")}
    if rest.get("default", 0) is None:
        del rest["default"]
    # The longest text that is accepted is for the error, not for the model.
    merged = {**choices[0], **rest} if len(choices) == 1 else {**rest, **({"anyOf": choices} if choices else {})}
    return {key: _compact(value) for key, value in merged.items() if key not in ("title", "maxLength")}
