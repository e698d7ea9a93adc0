"""The picture of a backtest."""

import struct
from dataclasses import replace

import pytest

from monitors.mesh.times import DAY, MINUTE, SECOND, to_duration, to_timestamp
from monitors.rules.charts import Chart, Line, draw
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.model.rule import Rule
from monitors.rules.translate.charts import chart_of
from monitors.v1.evaluator_service_pb2 import BacktestResponse, Curve, FiringInterval

START = 1_700_000_000 * SECOND
CHART = Chart(
    title="Checkout is slow · shop",
    subtitle="latency > 500",
    lines=[Line("shop", [START, START + MINUTE, START + 2 * MINUTE], [1.0, float("nan"), 700.0])],
    thresholds=[500.0],
    firing=[(START + MINUTE, START + 2 * MINUTE)],
    start=START,
    end=START + 5 * MINUTE,
)


@pytest.mark.parametrize(
    "chart",
    [
        CHART,
        replace(CHART, lines=[], thresholds=[], firing=[]),
        replace(CHART, lines=list(CHART.lines) * 9),
        replace(CHART, title="$x^{2", subtitle="a $b$ \\frac" * 50),
        replace(
            CHART,
            lines=[Line("x", [START, START + 1, START + 2], [1e308, -1e308, float("inf")])],
            thresholds=[-1e308, 1e308],
        ),
        replace(CHART, start=START - 366 * DAY),
    ],
)
def test_whatever_it_shows_it_is_a_picture_of_one_size(chart: Chart) -> None:
    picture = draw(chart)
    assert picture.startswith(b"\x89PNG")
    assert struct.unpack(">II", picture[16:24]) == (1_200, 504)


def test_a_backtest_is_drawn_with_its_thresholds_and_when_any_instance_would_have_fired() -> None:
    condition = parse_condition("x outside 20..400", "x").condition
    rule = Rule(id="", monitor_id="web", title="T", condition=condition, stated="")
    backtest = BacktestResponse(
        count=3, total=to_duration(90 * SECOND + 5), curves=[Curve(monitor_id="web", group={"a": "b"})]
    )
    for start, end in ((0, 10), (5, 20), (40, None)):
        interval = FiringInterval(start_time=to_timestamp(START + start * SECOND))
        if end is not None:
            interval.end_time.CopyFrom(to_timestamp(START + end * SECOND))
        backtest.intervals.append(interval)
    chart = chart_of(rule, backtest, START, START + MINUTE)
    assert chart.thresholds == [20.0, 400.0]
    assert chart.firing == [(START, START + 20 * SECOND), (START + 40 * SECOND, START + MINUTE)]
    assert chart.subtitle == "x outside 20..400   would have fired 3 times, for 1m30s in all (UTC)"
    assert [line.name for line in chart.lines] == ["web a=b"]
