"""A backtest as it is drawn."""

from monitors.mesh.quantities import format_duration
from monitors.mesh.times import SECOND, from_duration, from_timestamp
from monitors.rules.charts import Chart, Line
from monitors.rules.conditions.canonical import condition_text
from monitors.rules.model.condition import Comparison, Number, Range, Test, Threshold
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
