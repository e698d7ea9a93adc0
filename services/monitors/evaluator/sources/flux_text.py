"""Flux's queries. A name or an id is never part of a text: it's a parameter, which travels beside it as a syntax tree.

The server takes a filter into its storage engine only if it compares a tag with a text, so parameters are looked at by
name and nothing else is asked of a point.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from influxdb_client import DateTimeLiteral

from monitors.evaluator.lines import MONITOR_TAGS
from monitors.evaluator.sources.port import Selection
from monitors.mesh.times import SECOND

# What a time can be in Flux, whose ranges end before their `stop`.
EARLIEST, LATEST = -(2**63) + 2, 2**63 - 2
IDS_AT_ONCE = 1_000
NAMED_BY = (*MONITOR_TAGS, "_measurement")

Parameters = dict[str, object]


@dataclass(frozen=True)
class Query:
    """A text, its parameters, and the monitors whose points are wanted of what it finds; None for all of them."""

    text: str
    parameters: Parameters
    monitors: frozenset[str] | None


@dataclass(frozen=True)
class Manner:
    """What is asked for of each series, and whether the series of a field come in one table.

    Such a table is cheaper by far for the server, but can hold one type only.
    """

    newest: bool
    grouped: bool


def queries(bucket: str, selection: Selection, start: int, end: int, manner: Manner) -> Iterator[Query]:
    """What to ask for the points in `start`..`end`, in nanoseconds, both included."""
    for ids in _pages(selection.monitors):
        parameters: Parameters = {
            "bucket": bucket,
            "start": time_literal(max(start, EARLIEST)),
            "stop": time_literal(min(end, LATEST) + 1),
        }
        lines = ["from(bucket: bucket)", "|> range(start: start, stop: stop)"]
        for prefix, labels, wanted in (
            ("measurement", ("_measurement",), selection.measurements),
            ("field", ("_field",), selection.fields),
            ("monitor", NAMED_BY, ids),
        ):
            if wanted is None:
                continue
            names = {f"{prefix}{number}": name for number, name in enumerate(dict.fromkeys(wanted))}
            parameters |= names
            lines.append(f"|> filter(fn: (r) => {balanced([_any_label(labels, name) for name in names])})")
        if manner.newest:
            lines.append("|> last()")
        elif manner.grouped:
            lines.append('|> group(columns: ["_measurement", "_field"])')
        lines.append('|> drop(columns: ["_start", "_stop"])')
        yield Query("\n".join(lines), parameters, None if ids is None else frozenset(ids))


def is_empty(selection: Selection) -> bool:
    """Whether nothing at all is wanted."""
    return () in (selection.monitors, selection.measurements, selection.fields)


def time_literal(nanos: int) -> DateTimeLiteral:
    """A time to the nanosecond, which Python's own can't hold."""
    seconds, rest = divmod(nanos, SECOND)
    # fromtimestamp goes through a float, which is exact for whole seconds.
    whole = datetime.fromtimestamp(seconds, UTC)
    return DateTimeLiteral("DateTimeLiteral", f"{whole:%Y-%m-%dT%H:%M:%S}.{rest:09d}Z")


def _any_label(labels: Sequence[str], parameter: str) -> str:
    """Any of the tags that can name a point's monitor does. That may be too much where a point has several of them,
    which is found out when they come."""
    return balanced([f'r["{label}"] == {parameter}' for label in labels])


def balanced(conditions: Sequence[str]) -> str:
    """Any of the conditions, as a tree that's only as deep as it must be."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return f"({balanced(conditions[:middle])} or {balanced(conditions[middle:])})"


def _pages(monitors: tuple[str, ...] | None) -> Iterator[list[str] | None]:
    if monitors is None:
        yield None
        return
    ids = list(dict.fromkeys(monitors))
    for start in range(0, len(ids), IDS_AT_ONCE):
        yield ids[start : start + IDS_AT_ONCE]
