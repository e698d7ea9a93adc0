"""What a channel tells together: options, and how it's shown."""

from typing import Annotated, Any

import typer

from monitors.cli.choices import GroupBy
from monitors.cli.durations import format_duration
from monitors.cli.options import read_duration
from monitors.mesh.times import from_duration, to_duration
from monitors.v1.notification_pb2 import GroupBy as GroupByProto
from monitors.v1.notification_pb2 import Grouping

By = Annotated[
    GroupBy | None,
    typer.Option("--group-by", case_sensitive=False, help="Tell alerts of one of these together, or each alone."),
]
Labels = Annotated[
    list[str] | None,
    typer.Option("--group-label", metavar="NAME", help="With --group-by labels: a label or tag; repeatable."),
]
Wait = Annotated[
    int | None,
    typer.Option("--group-wait", parser=read_duration, metavar="DURATION", help="Wait for more after the first: 10s."),
]
Interval = Annotated[
    int | None,
    typer.Option("--group-interval", parser=read_duration, metavar="DURATION", help="Then tell so often: 1m."),
]
HoldUrgent = Annotated[
    bool | None,
    typer.Option("--hold-urgent/--no-hold-urgent", help="Let ends and what got worse wait, too, or don't."),
]
DigestAbove = Annotated[
    int | None,
    typer.Option(
        "--digest-above", min=0, max=100_000, help="With more a minute, tell one digest a minute; 0 is never."
    ),
]


def change(
    grouping: Grouping,
    by: GroupBy | None,
    labels: list[str] | None,
    wait: int | None,
    interval: int | None,
    hold_urgent: bool | None,
    digest_above: int | None,
) -> bool:
    """Writes what options say into a message. Returns whether they say anything."""
    if by is not None:
        grouping.by = by.proto
        if by is not GroupBy.LABELS:
            del grouping.labels[:]
    if labels:
        grouping.labels[:] = labels
        grouping.by = grouping.by or GroupBy.LABELS.proto
    if wait is not None:
        grouping.wait.CopyFrom(to_duration(wait))
    if interval is not None:
        grouping.interval.CopyFrom(to_duration(interval))
    if hold_urgent is not None:
        grouping.hold_urgent = hold_urgent
    if digest_above is not None:
        grouping.digest_above = digest_above
    return any(one is not None for one in (by, labels or None, wait, interval, hold_urgent, digest_above))


def words(grouping: Grouping) -> str:
    """In a few words: `rule, 10s then 1m, digest above 20`; empty if a server says nothing of it."""
    if not grouping.by:
        return ""
    parts = [_by(grouping)]
    if grouping.by != GroupByProto.GROUP_BY_ALONE:
        wait, interval = (format_duration(from_duration(one)) for one in (grouping.wait, grouping.interval))
        parts.append(f"{wait} then {interval}")
    if grouping.hold_urgent:
        parts.append("holds urgent")
    if grouping.digest_above:
        parts.append(f"digest above {grouping.digest_above}")
    return ", ".join(parts)


def document(grouping: Grouping) -> dict[str, Any]:
    """For `--json`."""
    return {
        "by": GroupByProto.Name(grouping.by).removeprefix("GROUP_BY_").lower(),
        "labels": list(grouping.labels),
        "wait": format_duration(from_duration(grouping.wait)),
        "interval": format_duration(from_duration(grouping.interval)),
        "hold_urgent": grouping.hold_urgent,
        "digest_above": grouping.digest_above,
    }


def _by(grouping: Grouping) -> str:
    by = GroupByProto.Name(grouping.by).removeprefix("GROUP_BY_").lower()
    return f"labels {', '.join(grouping.labels)}" if grouping.labels else by
