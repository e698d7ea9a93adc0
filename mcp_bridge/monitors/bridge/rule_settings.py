"""The settings of a rule as tool parameters, and how they are written into a rule."""

import json
import re
from typing import Annotated, Any

from google.protobuf.json_format import MessageToDict
from pydantic import Field

from monitors.bridge.convert import RUNBOOK
from monitors.bridge.errors import BridgeError
from monitors.bridge.parameters import Arguments, Condition, Names, Nanoseconds, NoData, Severity
from monitors.bridge.values import from_duration, to_duration
from monitors.v1 import rule_pb2

# `no data for 15m` is a condition whose duration isn't the rule's own `for`.
_ABSENCE = re.compile(r"\bno data(?: on [^\s{]+\s*(?:\{[^}]*\})?)? for\b", re.IGNORECASE)
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', re.DOTALL)
_FOR = re.compile(r"\bfor\b", re.IGNORECASE)
_ADDRESS = re.compile(r"://|@|hooks\.slack\.com|^whsec_|^xox", re.IGNORECASE)
_OUTPUT_ONLY = ("id", "create_time", "update_time", "creator", "updater", "etag", "open_alert_count")


class RuleSettings(Arguments):
    """What create_alert_rule and update_alert_rule both set. None leaves a setting as it is, or at its default."""

    condition: Annotated[
        Condition | None,
        Field(
            description="What must be true. Over a window (default 5m): avg, min, max, sum, count, median, p95, "
            "stddev, first, spread, rate, increase, delta, deriv, changes, resets; a bare field is its latest "
            "value. Also change(x, 1h) < -5%, forecast(x, 6h, 4h) > 95, age(x) > 1d, anomaly(x, 7d, daily) > 4, "
            'a / b > 0.05, sum by (host) (x) > 5, status in ("down", "lost"), recover < 75, and, or, unless, not (…). '
            "As an object, type is threshold, range, absence, change, anomaly, and, or, unless or not.",
            examples=[
                "avg(response_time, 5m) > 500 for 2m",
                {"type": "threshold", "field": "price", "operator": ">", "value": 60000, "aggregation": "latest"},
            ],
        ),
    ] = None
    for_: Annotated[
        Nanoseconds | None,
        Field(alias="for", description="How long it must hold: 2m, 90s; or say it in the condition", examples=["2m"]),
    ] = None
    severity: Annotated[Severity | None, Field(description="Default medium")] = None
    levels: Annotated[
        dict[Severity, str] | None,
        Field(
            description="Further severities, each with its own bounds on the condition's value",
            examples=[{"critical": "> 95 recover < 90"}],
        ),
    ] = None
    cooldown: Annotated[
        Nanoseconds | None, Field(description="Least time between two messages, default 5m", examples=["10m"])
    ] = None
    no_data: Annotated[NoData | None, Field(description="When all data stops: default keep (the state)")] = None
    notify: Annotated[
        Annotated[Names, Field(max_length=20)] | None,
        Field(
            description="Channel names, none for the default channels; a new one is added by its user on a page",
            examples=[["ops-slack"]],
        ),
    ] = None
    labels: Annotated[dict[str, str] | None, Field(examples=[{"team": "payments"}])] = None
    runbook_url: Annotated[str | None, Field(max_length=2_048)] = None
    enabled: bool | None = None
    interval: Annotated[
        Nanoseconds | None,
        Field(description="Evaluation interval besides each new point, default 30s", examples=["30s"]),
    ] = None

    def condition_text(self) -> str | None:
        """The condition as RuleService takes it: text, or a JSON object's text."""
        if isinstance(self.condition, dict):
            return json.dumps(self.condition)
        return self.condition

    def write_to(self, rule: rule_pb2.Rule) -> list[str]:
        """Sets on `rule` what was given, and returns the paths of its fields."""
        paths = []
        text = self.condition_text()
        if text is not None:
            rule.ClearField("condition")
            rule.condition_text = text
            paths.append("condition_text")
        durations = {"for_duration": self.for_, "cooldown": self.cooldown, "interval": self.interval}
        for path, nanos in durations.items():
            if nanos is not None:
                getattr(rule, path).CopyFrom(to_duration(nanos))
                paths.append(path)
        return [*paths, *self._write_choices(rule), *self._write_collections(rule)]

    def _write_choices(self, rule: rule_pb2.Rule) -> list[str]:
        paths = []
        if self.severity is not None:
            rule.severity = rule_pb2.Severity.Value(f"SEVERITY_{self.severity.upper()}")
            paths.append("severity")
        if self.no_data is not None:
            rule.no_data_policy = rule_pb2.MissingPolicy.Value(f"MISSING_POLICY_{self.no_data.upper()}")
            paths.append("no_data_policy")
        if self.enabled is not None:
            rule.enabled = self.enabled
            paths.append("enabled")
        return paths

    def _write_collections(self, rule: rule_pb2.Rule) -> list[str]:
        paths = []
        if self.levels is not None:
            del rule.levels[:]
            for severity, bounds in self.levels.items():
                number = rule_pb2.Severity.Value(f"SEVERITY_{severity.upper()}")
                rule.levels.add(severity=number, condition_text=bounds)
            paths.append("levels")
        if self.notify is not None:
            rule.notify[:] = _checked_names(self.notify)
            paths.append("notify")
        if self.labels is not None:
            rule.labels.clear()
            rule.labels.update(self.labels)
            paths.append("labels")
        if self.runbook_url is not None:
            rule.annotations.pop(RUNBOOK, None)
            if self.runbook_url.strip():
                rule.annotations[RUNBOOK] = self.runbook_url.strip()
            paths.append("annotations")
        return paths


def _checked_names(names: list[str]) -> list[str]:
    """Raises BridgeError, which repeats nothing, if an address or a secret stands where a channel's name belongs."""
    if any(_ADDRESS.search(name) for name in names):
        raise BridgeError(
            "notify: an address or secret was given, which isn't passed on; it doesn't belong into a conversation. "
            "Give a name for the channel, such as 'ops': if there is none yet, the answer says how its user adds it."
        )
    return names


def has_for_clause(condition_text: str) -> bool:
    """Whether a condition's text says itself how long it must hold."""
    return bool(_FOR.search(_ABSENCE.sub("", _QUOTED.sub("'…'", condition_text))))


def without_for_clause(rule: rule_pb2.Rule) -> str:
    """The condition's text of a saved rule less the `for` clause, which ends it where there is one."""
    if from_duration(rule.for_duration):
        return rule.condition_text.rpartition(" for ")[0]
    return rule.condition_text


def same_settings(one: rule_pb2.Rule, other: rule_pb2.Rule) -> bool:
    """Whether two rules are equal in everything that their makers can choose."""
    return _settings(one) == _settings(other)


def _settings(rule: rule_pb2.Rule) -> dict[str, Any]:
    settings = rule_pb2.Rule()
    settings.CopyFrom(rule)
    for name in _OUTPUT_ONLY:
        settings.ClearField(name)  # type: ignore[arg-type]
    return MessageToDict(settings)
