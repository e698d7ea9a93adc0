"""A rule: its defaults, its bounds, and how it changes."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from enum import IntEnum
from typing import Any

from monitors.mesh.errors import InvalidField
from monitors.mesh.quantities import format_duration
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND
from monitors.rules.model.channels import KnownChannel, warnings_of_channels
from monitors.rules.model.condition import Aggregation, Condition, Test
from monitors.rules.model.condition_parts import inputs_of
from monitors.rules.model.quantities import shown

LONGEST_TIME = 2**63 - 1
MOST_CHANNELS = 20
MOST_TAGS = 32
MOST_PAIRS = 32
LONGEST_KEY = 128
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KEY = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*")


class Severity(IntEnum):
    """How bad an alert is; the numbers are those of monitors.v1.Severity."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class MissingPolicy(IntEnum):
    """What happens while a condition is unknown; the numbers are those of monitors.v1.MissingPolicy."""

    OK = 1
    ALERT = 2
    KEEP = 3
    RESOLVE = 4


class EvaluationMode(IntEnum):
    """At which instants a rule is evaluated; the numbers are those of monitors.v1.EvaluationMode."""

    EVERY_POINT = 1
    INTERVAL = 2


@dataclass(frozen=True, slots=True)
class Level:
    """A severity, the test of the rule's value that enters it, and the one that must pass to leave it downwards."""

    severity: Severity
    test: Test
    reset: Test | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What to watch, when to fire, and whom to tell. Durations and times are nanoseconds."""

    id: str = ""
    key: str = ""
    """The name that it has where it's written down; no two rules of a tenant have the same. Empty if none."""
    monitor_id: str
    """A monitor's id, or a pattern with `*`."""
    title: str
    condition: Condition
    """With the measurement resolved where it's unambiguous."""
    stated: str
    """The condition's canonical text as it was stated, without the `for` clause."""
    severity: Severity = Severity.MEDIUM
    levels: tuple[Level, ...] = ()
    """Further severities, the lowest first."""
    for_duration: int = 0
    keep_firing_for: int = 0
    cooldown: int = 5 * MINUTE
    repeat_interval: int = 4 * HOUR
    interval: int = 30 * SECOND
    no_data_policy: MissingPolicy = MissingPolicy.KEEP
    missing_series_policy: MissingPolicy = MissingPolicy.RESOLVE
    group_by: tuple[str, ...] = ()
    """The tags that make an instance; none means all."""
    notify: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    enabled: bool = True
    snooze_until: int | None = None
    evaluation_mode: EvaluationMode = EvaluationMode.EVERY_POINT
    create_time: int = 0
    update_time: int = 0
    creator: str = ""
    updater: str = ""
    revision: int = 0
    """Grows with every change of any rule; the rule's etag."""

    @property
    def etag(self) -> str:
        """Changes with every change of the rule."""
        return str(self.revision)

    @property
    def condition_text(self) -> str:
        """The canonical text with its `for` clause."""
        return with_for_clause(self.stated, self.for_duration)

    @property
    def is_pattern(self) -> bool:
        """Whether it may watch several monitors."""
        return is_pattern(self.monitor_id)


def with_for_clause(stated: str, for_duration: int) -> str:
    """A condition's text with its `for` clause."""
    return f"{stated} for {format_duration(for_duration)}" if for_duration else stated


def is_pattern(monitor_id: str) -> bool:
    """Whether a rule's monitor_id names several monitors."""
    return "*" in monitor_id


_NOT_SETTABLE = {
    "id", "condition", "stated", "create_time", "update_time", "creator", "updater", "revision", "monitor_id",
    "title",
}  # fmt: skip

DEFAULTS: dict[str, Any] = {
    "monitor_id": "",
    "title": "",
    **{
        each.name: each.default if each.default is not MISSING else {}
        for each in fields(Rule)
        if each.name not in _NOT_SETTABLE
    },
}
"""What a client may set, less the condition, with what it is when it isn't set."""


def changed(rule: Rule, values: Mapping[str, Any]) -> Rule:
    """The rule with other values of some of its fields."""
    return replace(rule, **values)


def check_rule(rule: Rule) -> list[InvalidField]:
    """What is wrong with a rule's own fields, each with its fix. The condition is checked by itself."""
    return [
        *_check_names(rule),
        *_check_durations(rule),
        *_check_policies(rule),
        *_check_pairs("rule.labels", rule.labels, 64, 256),
        *_check_pairs("rule.annotations", rule.annotations, 64, 4096),
    ]


def _check_names(rule: Rule) -> Iterator[InvalidField]:
    yield from check_line("rule.monitor_id", rule.monitor_id, 256, "name the monitor to watch, such as `mon_host`")
    yield from check_line("rule.title", rule.title, 200, "give the rule a human name, such as `Checkout is slow`")
    if len(rule.key) > LONGEST_KEY or (rule.key and not _KEY.fullmatch(rule.key)):
        yield InvalidField(
            "rule.key",
            f"{shown(rule.key)} isn't a key; send at most {LONGEST_KEY} lower-case letters, digits, `.`, `_` and `-`, "
            "with `/` between its parts, such as `web/cpu-is-hot`",
        )
    yield from _check_group_by(rule.group_by)
    if len(rule.notify) > MOST_CHANNELS:
        yield InvalidField("rule.notify", f"{len(rule.notify)} channels; at most {MOST_CHANNELS}")
    if len(set(rule.notify)) < len(rule.notify):
        yield InvalidField("rule.notify", "a channel is named twice; name each once")


def _check_group_by(tags: Collection[str]) -> Iterator[InvalidField]:
    if len(tags) > MOST_TAGS:
        yield InvalidField("rule.group_by", f"{len(tags)} tags; at most {MOST_TAGS}")
    if len(set(tags)) < len(tags):
        yield InvalidField("rule.group_by", "a tag is named twice; name each once")
    for tag in tags:
        yield from check_line("rule.group_by", tag, 256, "name a tag, such as `host`, or leave the list out")


def check_line(path: str, text: str, most: int, fix: str) -> Iterator[InvalidField]:
    """What is wrong with a text that must be one line of 1 to `most` characters."""
    if not text.strip():
        yield InvalidField(path, f"is empty; {fix}")
    elif len(text) > most:
        yield InvalidField(path, f"has {len(text):,} characters; at most {most}")
    elif _CONTROL.search(text):
        yield InvalidField(path, f"{shown(text)} has a line break or control character; send one plain line")


def _check_durations(rule: Rule) -> Iterator[InvalidField]:
    for name, value, least, most in (
        ("for_duration", rule.for_duration, 0, 7 * DAY),
        ("keep_firing_for", rule.keep_firing_for, 0, 7 * DAY),
        ("cooldown", rule.cooldown, 0, 7 * DAY),
        ("interval", rule.interval, SECOND, DAY),
    ):
        if not least <= value <= most:
            yield InvalidField(
                f"rule.{name}",
                f"{format_duration(value)} is out of bounds; send {format_duration(least)} to {format_duration(most)}",
            )
    if rule.repeat_interval and not MINUTE <= rule.repeat_interval <= 7 * DAY:
        yield InvalidField(
            "rule.repeat_interval",
            f"{format_duration(rule.repeat_interval)} is out of bounds; send 0s (never) or 1m to 7d",
        )
    if rule.snooze_until is not None and not 0 <= rule.snooze_until <= LONGEST_TIME:
        yield InvalidField("rule.snooze_until_time", "is out of bounds; send a time from 1970 to 2262")


def _check_policies(rule: Rule) -> Iterator[InvalidField]:
    if rule.no_data_policy is MissingPolicy.RESOLVE:
        yield InvalidField("rule.no_data_policy", "RESOLVE isn't allowed here; send OK, ALERT or KEEP")


def _check_pairs(path: str, pairs: Mapping[str, str], longest_name: int, longest_value: int) -> Iterator[InvalidField]:
    if len(pairs) > MOST_PAIRS:
        yield InvalidField(path, f"{len(pairs)} entries; at most {MOST_PAIRS}")
    for name, value in pairs.items():
        if not name or len(name) > longest_name or _CONTROL.search(name):
            yield InvalidField(path, f"the name {shown(name)} must be 1 to {longest_name} plain characters")
        if len(value) > longest_value:
            yield InvalidField(
                path, f"the value of {shown(name)} has {len(value):,} characters; at most {longest_value}"
            )


def warnings_about(rule: Rule, now: int, channels: Collection[KnownChannel]) -> list[str]:
    """What looks wrong with a valid rule."""
    found = [*warnings_of_channels(rule.notify, channels)]
    found += _short_windows(rule)
    if rule.evaluation_mode is EvaluationMode.INTERVAL and 0 < rule.for_duration < rule.interval:
        found.append(
            f"for ({format_duration(rule.for_duration)}) is shorter than the interval "
            f"({format_duration(rule.interval)}): the rule fires at its second evaluation"
        )
    if rule.snooze_until is not None and rule.snooze_until <= now:
        found.append("snooze_until_time lies in the past and has no effect")
    return found


def _short_windows(rule: Rule) -> list[str]:
    """Windows in which there may be too few points, each said once."""
    interval = format_duration(rule.interval)
    windows = {each.window for each in inputs_of(rule.condition) if each.aggregation is not Aggregation.LATEST}
    found = []
    for window in sorted(windows):
        said = f"the window ({format_duration(window)}) is shorter than"
        if window < rule.interval:
            found.append(
                f"{said} the interval ({interval}): between new points it may be empty and the condition unknown"
            )
        elif rule.evaluation_mode is EvaluationMode.INTERVAL and window < 2 * rule.interval:
            found.append(
                f"{said} two intervals ({interval} each): it may hold one point only, so that a rate is unknown"
            )
    return found
