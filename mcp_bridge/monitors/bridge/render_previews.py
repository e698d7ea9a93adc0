"""What a rule reads and what it would have done, as text."""

from monitors.bridge.backtest_models import Backtest, Curve, Series, ThresholdSuggestion
from monitors.bridge.curves import UNKNOWN
from monitors.bridge.phrases import count, group, last, named, shown, when
from monitors.bridge.values import number


def match_lines(matches: list[Series], total: int, now: int) -> list[str]:
    """The series that a rule reads."""
    return [f"Reads {shown(len(matches), total, 'series', 'series')} now:", *(_series(one, now) for one in matches)]


def backtest_lines(backtest: Backtest, now: int) -> list[str]:
    """When a rule would have fired, what it compared, and which thresholds would have alerted less."""
    a_day = f" ({number(backtest.alerts_per_day)} a day)" if backtest.alerts_per_day is not None else ""
    lengths = f"for {backtest.firing_total} in all and {backtest.firing_longest} at the longest"
    often = f"{count(backtest.alerts, 'time')}{a_day}, {lengths}" if backtest.alerts else f"0 times{a_day}"
    lines = [f"In the last {backtest.window} it would have fired {often}."]
    if backtest.unit is not None:
        lines.append(f"Values and thresholds are {backtest.unit}.")
    if backtest.value_now is not None:
        lines.append(f"The value now: {number(backtest.value_now)}")
    intervals = backtest.intervals or []
    for one in intervals:
        value = f" at {number(one.value)}" if one.value is not None else ""
        until = when(one.ended, now) if one.ended else "now"
        lines.append(f"- {named(one.monitor)}{group(one.group)}{value} from {when(one.fired, now)} until {until}")
    if len(intervals) < backtest.alerts:
        lines.append(f"These are the latest {len(intervals)}.")
    lines += map(_suggestion, backtest.suggestions or ())
    lines += [line for curve in backtest.curves or () for line in _curve(curve)]
    return [*lines, *(f"Warning: {warning}" for warning in backtest.warnings or ())]


def _suggestion(one: ThresholdSuggestion) -> str:
    often = f"have alerted {number(one.alerts_per_day)} times a day" if one.alerts_per_day else "not have alerted"
    return f"A threshold of {number(one.threshold)} would {often}."


def _curve(curve: Curve) -> list[str]:
    values = ", ".join(UNKNOWN if value is None else number(value) for value in curve.values)
    head = f"{named(curve.monitor)}{group(curve.group)} from {curve.start} to {curve.end}"
    return [
        f"{head}, between {number(curve.least)} and {number(curve.greatest)}: {curve.sparkline}",
        f"in {len(curve.values)} steps: {values}",
    ]


def _series(series: Series, now: int) -> str:
    taken = f" {when(series.last_time, now)}" if series.last_time else ""
    return f"- {named(series.monitor)} {named(series.field)}{group(series.tags)}{last(series.last_value)}{taken}"
