"""The backtest of a rule, saved or not, on the stored points."""

from typing import Any

import grpc
import pytest

from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND, now_nanos, to_duration, to_timestamp
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.translate.conditions import condition_to_proto
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.rule_pb2 import Rule
from tests.evaluator.ingest.test_service import bearer, refused, samples, series, write

NOW = now_nanos() // MINUTE * MINUTE
START = NOW - 2 * DAY


def rule(text: str, monitor: str = "web", **attributes: Any) -> Rule:
    condition = condition_to_proto(parse_condition(text, "x").condition)
    return Rule(monitor_id=monitor, condition=condition, interval=to_duration(MINUTE), **attributes)


def tried(stub: EvaluatorServiceStub, tested: Rule, start: int = START, end: int = NOW) -> pb.BacktestResponse:
    request = pb.BacktestRequest(rule=tested, start_time=to_timestamp(start), end_time=to_timestamp(end))
    return stub.Backtest(request, metadata=bearer())


@pytest.fixture(autouse=True)
def history(stub: EvaluatorServiceStub) -> None:
    """Two days of a point a minute: 1, but 10 in the first ten minutes of each hour, and on the second day 100 once."""
    rows = []
    for minute in range(1, 2 * 1440):
        value = 10.0 if minute % 60 < 10 else 1.0
        rows.append((0, START + minute * MINUTE, 100.0 if minute == 2000 else value))
    write(stub, samples(*rows, defining=[series("x")]))


def test_the_intervals_are_told_with_count_total_and_longest(stub: EvaluatorServiceStub) -> None:
    found = tried(stub, rule("x > 5", for_duration=to_duration(2 * MINUTE)))
    assert (found.count, len(found.intervals)) == (48, 48)
    first, second = found.intervals[:2]
    # The first hour's ten minutes begin with the test: at 0 there is no point yet.
    assert first.start_time == to_timestamp(START + 3 * MINUTE)
    assert second.start_time == to_timestamp(START + 62 * MINUTE)
    assert second.end_time == to_timestamp(START + 70 * MINUTE)
    assert (second.value, second.monitor_id) == (10.0, "web")
    assert found.longest == to_duration(8 * MINUTE)
    assert found.total == to_duration((47 * 8 + 7) * MINUTE)
    assert found.current_value == 1.0
    assert [match.field for match in found.matches] == ["x"]


def test_what_was_compared_comes_as_a_curve_that_keeps_its_extremes(stub: EvaluatorServiceStub) -> None:
    (curve,) = tried(stub, rule("x > 5")).curves
    assert (curve.monitor_id, dict(curve.group)) == ("web", {})
    assert 900 <= len(curve.times) <= 1_000
    assert list(curve.times) == sorted(curve.times)
    assert (max(curve.values), min(curve.values)) == (100.0, 1.0)


def test_thresholds_are_suggested_that_would_have_alerted_less(stub: EvaluatorServiceStub) -> None:
    (suggestion,) = tried(stub, rule("x > 5")).suggestions
    assert 10 <= suggestion.threshold < 100
    assert suggestion.alerts_per_day == pytest.approx(0.5, rel=0.001)


def test_what_still_fires_has_no_end(stub: EvaluatorServiceStub) -> None:
    (interval,) = tried(stub, rule("x > 0")).intervals
    assert not interval.HasField("end_time")
    (silent,) = tried(stub, rule("no data for 10m"), end=NOW + 20 * MINUTE).intervals
    assert silent.start_time == to_timestamp(NOW + 9 * MINUTE + 1)


def test_points_from_before_the_start_fill_the_window(stub: EvaluatorServiceStub) -> None:
    (interval,) = tried(stub, rule("max(x, 1h) > 99"), start=START + 2010 * MINUTE).intervals
    assert interval.start_time == to_timestamp(START + 2011 * MINUTE)
    assert interval.end_time == to_timestamp(START + 2061 * MINUTE)


def test_what_matches_nothing_says_so(stub: EvaluatorServiceStub) -> None:
    for tested in (rule("y > 5"), rule("x > 5", monitor="other"), rule("x > 5", monitor="o*")):
        found = tried(stub, tested)
        assert (found.count, list(found.matches)) == (0, [])
        assert found.warnings == ["nothing was tried: the rule matches no series that has reported"]
    empty = tried(stub, rule("x > 5"), end=START + SECOND)
    assert empty.warnings == ["there is no data in this time"]
    assert not empty.HasField("data_start_time")


def test_of_a_short_history_its_length_is_told_and_what_would_have_been_quiet(stub: EvaluatorServiceStub) -> None:
    found = tried(stub, rule("x > 5"), start=START - 100 * DAY, end=START + 90 * MINUTE)
    assert found.count == 2
    assert found.warnings == ["only the last 1h29m were tried: nothing is known from before"]
    assert found.data_start_time == to_timestamp(START + MINUTE)
    ((threshold, rate),) = [(one.threshold, one.alerts_per_day) for one in found.suggestions]
    assert rate == 0
    assert tried(stub, rule(f"x > {threshold}"), start=START - 100 * DAY, end=START + 90 * MINUTE).count == 0
    assert not tried(stub, rule("x > 100"), end=START + 90 * MINUTE).suggestions


@pytest.mark.parametrize(("highest", "condition", "quiet"), [
    (123.456, "y > 5", 124), (-0.0123456, "y > -3", -0.0123), (123.456, "y < 200", 123), (-123.456, "y < 5", -124),
])  # fmt: skip
def test_what_would_have_been_quiet_is_a_round_number_that_no_value_is_beyond(
    stub: EvaluatorServiceStub, highest: float, condition: str, quiet: float
) -> None:
    rows = [(0, START + minute * MINUTE, highest) for minute in range(1, 60)]
    write(stub, samples(*rows, defining=[series("y")]))
    (suggestion,) = tried(stub, rule(condition), end=START + HOUR).suggestions
    assert (suggestion.threshold, suggestion.alerts_per_day) == (quiet, 0)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"start_time": None}, "start_time"),
        ({"start_time": to_timestamp(NOW), "end_time": to_timestamp(START)}, "start_time"),
        ({"start_time": to_timestamp(NOW - 400 * DAY)}, "start_time"),
        ({"rule": Rule(monitor_id="web")}, "rule.condition"),
    ],
)
def test_what_can_not_be_tried_is_refused(stub: EvaluatorServiceStub, change: dict[str, Any], field: str) -> None:
    fields = {"rule": rule("x > 5"), "start_time": to_timestamp(START), **change}
    code, _, message = refused(lambda: stub.Backtest(pb.BacktestRequest(**fields), metadata=bearer()))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message.startswith(field)


def test_the_series_of_another_tenant_are_not_tried(stub: EvaluatorServiceStub) -> None:
    request = pb.BacktestRequest(rule=rule("x > 5"), start_time=to_timestamp(START))
    assert stub.Backtest(request, metadata=bearer("other-key")).count == 0
