"""From what a rule would have done to the tools' answers."""

import math

from google.protobuf.duration_pb2 import Duration

from monitors.bridge.backtest_models import Backtest, Curve, FiringInterval, ThresholdSuggestion
from monitors.bridge.convert import clean, pairs_of
from monitors.bridge.curves import known_part, shortened, sparkline, thinned
from monitors.bridge.values import DAY, SECOND, format_duration, from_duration, iso, measured, to_timestamp
from monitors.v1 import condition_pb2, evaluator_service_pb2

SHOWN_INTERVALS = 10
SHOWN_CURVES = 2
_UNITS: dict[int, str] = {
    condition_pb2.AGGREGATION_RATE: "rises per second",
    condition_pb2.AGGREGATION_DERIVATIVE: "slopes per second",
    condition_pb2.AGGREGATION_COUNT: "points",
    condition_pb2.AGGREGATION_CHANGES: "changes",
    condition_pb2.AGGREGATION_RESETS: "resets",
}


def backtest_detail(
    backtest: evaluator_service_pb2.BacktestResponse, condition: condition_pb2.Condition, window: int, now: int
) -> Backtest:
    """What a rule of that condition would have done in the last `window` nanoseconds; of the intervals the latest
    ones."""
    suggestions = [
        ThresholdSuggestion(threshold=measured(one.threshold), alerts_per_day=round(one.alerts_per_day, 2))
        for one in backtest.suggestions
    ]
    tried = _tried(backtest, window, now)
    return Backtest(
        window=format_duration(window),
        alerts=backtest.count,
        alerts_per_day=round(backtest.count / (tried / DAY), 2) if backtest.count and tried >= DAY else None,
        firing_total=_measured(backtest.total),
        firing_longest=_measured(backtest.longest),
        unit=_unit(condition),
        value_now=measured(backtest.current_value) if backtest.HasField("current_value") else None,
        intervals=[_interval(one) for one in backtest.intervals[-SHOWN_INTERVALS:]],
        suggestions=suggestions or None,
        curves=[_curve(curve) for curve in backtest.curves[:SHOWN_CURVES] if is_known(curve)] or None,
        warnings=[clean(warning) for warning in backtest.warnings] or None,
    )


def _unit(condition: condition_pb2.Condition) -> str | None:
    compared = condition.range.expression if condition.HasField("range") else condition.comparison.left
    match compared.WhichOneof("kind"):
        case "change" if compared.change.percent:
            return "percent"
        case "anomaly":
            return "robust standard deviations"
        case "age":
            return "seconds"
        case "input":
            return _UNITS.get(compared.input.aggregation)
    return None


def is_known(curve: evaluator_service_pb2.Curve) -> bool:
    """Whether there is anything to draw."""
    return any(not math.isnan(value) for value in curve.values)


def _tried(backtest: evaluator_service_pb2.BacktestResponse, window: int, now: int) -> int:
    """The part of the window, in nanoseconds, from which there is data; all of it if that isn't told."""
    if not backtest.HasField("data_start_time"):
        return window
    known_from = backtest.data_start_time.seconds * SECOND + backtest.data_start_time.nanos
    # The little that is missing at the beginning, as before the first of regular points, doesn't count.
    return window if known_from - (now - window) <= window // 20 else now - known_from


def _measured(duration: Duration) -> str:
    """To the second: what is measured in nanoseconds isn't read so."""
    return format_duration(round(from_duration(duration) / SECOND) * SECOND)


def _interval(interval: evaluator_service_pb2.FiringInterval) -> FiringInterval:
    return FiringInterval(
        monitor=clean(interval.monitor_id, 256),
        group=pairs_of(interval.group),
        fired=iso(interval.start_time),
        ended=iso(interval.end_time) or None,
        value=measured(interval.value) if interval.HasField("value") else None,
    )


def _curve(curve: evaluator_service_pb2.Curve) -> Curve:
    known = known_part(curve.values)
    times, values = curve.times[known], curve.values[known]
    numbers = [value for value in values if not math.isnan(value)]
    steps = thinned(times, values)
    return Curve(
        monitor=clean(curve.monitor_id, 256),
        group=pairs_of(curve.group),
        start=iso(to_timestamp(times[0])),
        end=iso(to_timestamp(times[-1])),
        least=measured(min(numbers)),
        greatest=measured(max(numbers)),
        sparkline=sparkline(steps),
        values=[None if math.isnan(value) else measured(shortened(value)) for value in steps],
    )
