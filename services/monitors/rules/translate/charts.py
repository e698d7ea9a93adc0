"""A backtest, and an alert, as they are drawn."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from monitors.mesh.quantities import format_duration
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND, from_duration, from_timestamp
from monitors.rules.charts import Chart, Line
from monitors.rules.conditions.canonical import condition_text
from monitors.rules.model.alert import Alert
from monitors.rules.model.condition import (
    Comparison,
    Number,
    Range,
    TagFilter,
    TagOperator,
    Target,
    Test,
    Threshold,
)
from monitors.rules.model.condition_parts import with_targets
from monitors.rules.model.rule import Rule, with_for_clause
from monitors.v1.evaluator_service_pb2 import BacktestResponse, Curve


def chart_of(rule: Rule, backtest: BacktestResponse, start: int, end: int) -> Chart:
    """The chart of a rule's backtest over a time in nanoseconds."""
    text = with_for_clause(condition_text(rule.condition), rule.for_duration)
    total = format_duration(from_duration(backtest.total) // SECOND * SECOND)
    times = "once" if backtest.count == 1 else f"{backtest.count:,} times"
    return Chart(
        title=f"{rule.title} · {rule.monitor_id}",
        subtitle=f"{text}   would have fired {times}, for {total} in all (UTC)",
        lines=[Line(_name(curve), list(curve.times), list(curve.values)) for curve in backtest.curves],
        thresholds=_thresholds(rule),
        firing=_firing(backtest, end),
        start=start,
        end=end,
    )


def span_of(alert: Alert, now: int) -> tuple[int, int]:
    """The time that the picture of an alert shows: until now or shortly after its end, half of it before it began; an
    hour at least and a day at most."""
    end = now if alert.resolve_time is None else min(now, alert.resolve_time + MINUTE)
    return end - min(max(HOUR, 2 * (end - alert.episode)), DAY), end


def narrowed(rule: Rule, alert: Alert) -> Rule:
    """The rule on what the alert is about alone, so that the series of others needn't be read."""
    own = tuple(TagFilter(tag, TagOperator.EQUAL, value) for tag, value in sorted(alert.group.items()))

    def narrow(target: Target) -> Target:
        return replace(target, filters=(*target.filters, *own))

    return replace(rule, monitor_id=alert.monitor_id, condition=with_targets(rule.condition, narrow))


def chart_of_alert(rule: Rule, alert: Alert, curves: Sequence[Curve], start: int, end: int) -> Chart | None:
    """The chart of what an alert's condition compared; None if nothing is known of that."""
    own = [curve for curve in curves if dict(curve.group) == dict(alert.group)]
    lines = [Line(_name(curve), list(curve.times), list(curve.values)) for curve in own]
    points = _points(lines)
    if not points:
        return None
    first = points[0][0]
    return Chart(
        title=f"{alert.title} · {alert.monitor_id}",
        subtitle=f"{alert.condition_text} (UTC)",
        lines=lines,
        thresholds=_thresholds(rule),
        firing=[(alert.fire_time, alert.resolve_time or end)],
        # What was measured for a few minutes only isn't drawn at the edge of an empty hour.
        start=max(start, first - max(MINUTE, (end - first) // 20)),
        end=end,
    )


def describe(chart: Chart) -> str:
    """What a chart shows in words."""
    points = _points(chart.lines)
    values = [value for _, value in points]
    since, until = (datetime.fromtimestamp(time // SECOND, UTC) for time in (points[0][0], chart.end))
    limits = "".join(f", compared with {bound:.6g}" for bound in chart.thresholds)
    return (
        f"{chart.subtitle.removesuffix(' (UTC)')}, {since:%H:%M} to {until:%H:%M} UTC: lowest {min(values):.6g}, "
        f"highest {max(values):.6g}, last {values[-1]:.6g}{limits}"
    )


def _points(lines: Sequence[Line]) -> list[tuple[int, float]]:
    """The points of all lines that are numbers, oldest first."""
    both = (point for line in lines for point in zip(line.times, line.values, strict=True))
    return sorted(point for point in both if math.isfinite(point[1]))


def _firing(backtest: BacktestResponse, now: int) -> list[tuple[int, int]]:
    """When any instance would have fired."""
    merged: list[tuple[int, int]] = []
    for one in backtest.intervals:
        start, end = from_timestamp(one.start_time), from_timestamp(one.end_time) if one.HasField("end_time") else now
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _name(curve: Curve) -> str:
    group = ", ".join(f"{name}={value}" for name, value in sorted(curve.group.items()))
    return " ".join(filter(None, (curve.monitor_id, group)))


def _thresholds(rule: Rule) -> list[float]:
    """What a single comparison and its levels compare with; nothing where that's a text or computed as well."""
    if not isinstance(rule.condition, Comparison):
        return []
    tests = [rule.condition.test, *(level.test for level in rule.levels)]
    return list(dict.fromkeys(bound for test in tests for bound in _bounds(test)))


def _bounds(test: Test) -> list[float]:
    match test:
        case Range(low=low, high=high):
            return [low, high]
        case Threshold(right=Number(value=value)):
            return [value]
        case _:
            return []
