"""The options that make or change a rule, and what they do to it."""

import re
from dataclasses import dataclass, field
from typing import Annotated

import typer

from monitors.cli.choices import Missing, NoData, Severity
from monitors.cli.options import read_duration
from monitors.mesh.times import now_nanos, to_duration, to_timestamp
from monitors.v1.rule_pb2 import Level, Rule

Title = Annotated[str | None, typer.Option("--title", help="The human name.")]
Key = Annotated[str | None, typer.Option("--key", help="The name it has in files: web/cpu-is-hot.")]
When = Annotated[str | None, typer.Option("--when", help='The condition: "avg(cpu_percent, 1m) > 90 for 30s".')]
SeverityOption = Annotated[Severity | None, typer.Option("--severity", case_sensitive=False, help="How bad it is.")]
LevelOption = Annotated[
    list[str] | None,
    typer.Option(
        "--level",
        metavar="SEVERITY: BOUNDS",
        help="Another severity with its own bounds on the value: 'critical: > 95 recover < 90'; repeatable.",
    ),
]
For = Annotated[
    int | None,
    typer.Option("--for", parser=read_duration, metavar="DURATION", help="How long it must hold before it fires."),
]
KeepFiringFor = Annotated[
    int | None,
    typer.Option(
        "--keep-firing-for", parser=read_duration, metavar="DURATION", help="How long it must be over to be resolved."
    ),
]
Cooldown = Annotated[
    int | None,
    typer.Option("--cooldown", parser=read_duration, metavar="DURATION", help="No second message for this long."),
]
Repeat = Annotated[
    int | None,
    typer.Option("--repeat", parser=read_duration, metavar="DURATION", help="Tell again this often; 0 is never."),
]
Interval = Annotated[
    int | None,
    typer.Option("--interval", parser=read_duration, metavar="DURATION", help="Evaluate this often between points."),
]
NoDataOption = Annotated[
    NoData | None, typer.Option("--no-data", case_sensitive=False, help="When none of its series has data.")
]
MissingOption = Annotated[
    Missing | None, typer.Option("--missing", case_sensitive=False, help="When one series of several has no data.")
]
GroupBy = Annotated[
    list[str] | None,
    typer.Option("--group-by", metavar="TAG", help="A tag that makes an instance; repeatable. All tags if left out."),
]
Notify = Annotated[list[str] | None, typer.Option("--notify", metavar="CHANNEL", help="Whom to tell; repeatable.")]
Label = Annotated[list[str] | None, typer.Option("--label", metavar="NAME=VALUE", help="A label; repeatable.")]
Annotation = Annotated[
    list[str] | None, typer.Option("--annotation", metavar="NAME=VALUE", help="A text for people; repeatable.")
]
Runbook = Annotated[str | None, typer.Option("--runbook", metavar="URL", help="Where it's written what to do.")]

DURATIONS = ("for_duration", "keep_firing_for", "cooldown", "repeat_interval", "interval")


@dataclass(frozen=True)
class Changes:
    """What the options say about a rule, None or empty where they say nothing; durations in nanoseconds."""

    monitor_id: str | None = None
    title: str | None = None
    condition_text: str | None = None
    severity: Severity | None = None
    levels: list[Level] | None = None
    for_duration: int | None = None
    keep_firing_for: int | None = None
    cooldown: int | None = None
    repeat_interval: int | None = None
    interval: int | None = None
    no_data: NoData | None = None
    missing: Missing | None = None
    group_by: list[str] | None = None
    notify: list[str] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    enabled: bool | None = None
    snooze: int | None = None
    unsnooze: bool = False
    key: str | None = None


def apply(changes: Changes, rule: Rule) -> list[str]:
    """Puts the changes into the rule and returns the paths for an update mask."""
    paths = []
    for name in ("monitor_id", "title", "condition_text", "enabled", "key"):
        value = getattr(changes, name)
        if value is not None:
            setattr(rule, name, value)
            paths.append(name)
    for name in DURATIONS:
        nanos = getattr(changes, name)
        if nanos is not None:
            getattr(rule, name).CopyFrom(to_duration(nanos))
            paths.append(name)
    for choice, name in (
        (changes.severity, "severity"),
        (changes.no_data, "no_data_policy"),
        (changes.missing, "missing_series_policy"),
    ):
        if choice is not None:
            setattr(rule, name, choice.proto)
            paths.append(name)
    if changes.levels is not None:
        del rule.levels[:]
        rule.levels.extend(changes.levels)
        paths.append("levels")
    if changes.group_by is not None:
        rule.group_by[:] = changes.group_by
        paths.append("group_by")
    if changes.notify is not None:
        rule.notify[:] = changes.notify
        paths.append("notify")
    for name in ("labels", "annotations"):
        pairs: dict[str, str] = getattr(changes, name)
        if pairs:
            _merge(getattr(rule, name), pairs)
            paths.append(name)
    if changes.snooze is not None or changes.unsnooze:
        rule.ClearField("snooze_until_time")
        if changes.snooze is not None:
            rule.snooze_until_time.CopyFrom(to_timestamp(now_nanos() + changes.snooze))
        paths.append("snooze_until_time")
    return paths


def read_levels(texts: list[str] | None) -> list[Level]:
    """The levels that were said. What the bounds mean is for the service to tell."""
    return [_read_level(text) for text in texts or ()]


def _read_level(text: str) -> Level:
    found = re.match(r"\s*(\w+)\s*[:\s]\s*(\S.*)", text, re.DOTALL)
    severity = found[1].upper() if found else ""
    if found is None or severity not in Severity.__members__:
        known = ", ".join(Severity)
        raise typer.BadParameter(
            f"{text!r} isn't a level; say one of {known}, and its bounds: 'critical: > 95 recover < 90'",
            param_hint="--level",
        )
    return Level(severity=Severity[severity].proto, condition_text=found[2].strip())


def _merge(target: "dict[str, str]", pairs: dict[str, str]) -> None:
    for name, value in pairs.items():
        if value:
            target[name] = value
        else:
            target.pop(name, None)


def annotations_of(pairs: dict[str, str], runbook: str | None) -> dict[str, str]:
    """The annotations with the runbook's place among them."""
    return pairs if runbook is None else {**pairs, "runbook_url": runbook}
