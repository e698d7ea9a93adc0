"""The picture of a backtest, and of an alert."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import BytesIO

import pytest
from PIL import Image

from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND, to_duration, to_timestamp
from monitors.rules.charts import Chart, Line, draw, draw_within
from monitors.rules.conditions.canonical import condition_text
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.model.alert import Alert
from monitors.rules.model.rule import Rule, Severity
from monitors.rules.translate.charts import chart_of, chart_of_alert, describe, narrowed, span_of
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


def rule_of(text: str, monitor: str = "web") -> Rule:
    return Rule(id="", monitor_id=monitor, title="T", condition=parse_condition(text, text).condition, stated="")


def alert_of(group: Mapping[str, str], begun: int = START, over: int | None = None) -> Alert:
    return Alert(
        tenant="acme",
        id="alert_1",
        rule_id="rule_1",
        monitor_id="web",
        group=group,
        instance_key="",
        episode=begun,
        title="Slow",
        severity=Severity.HIGH,
        condition_text="x > 400",
        value=None,
        fire_time=begun,
        record_time=begun,
        labels={},
        annotations={},
        channels=(),
        resolve_time=over,
    )


def curve(group: Mapping[str, str], values: Sequence[float], start: int = START - MINUTE) -> Curve:
    times = [start + number * MINUTE for number in range(len(values))]
    return Curve(monitor_id="web", group=group, times=times, values=values)


@pytest.mark.parametrize("most", [65_536, 9_500])
def test_the_picture_for_a_message_has_as_many_bytes_as_are_allowed_at_most(most: int) -> None:
    wild = [float((number * 7919) % 1000) for number in range(1000)]
    busy = replace(CHART, lines=[Line("a", [START + number * SECOND for number in range(1000)], wild)])
    for chart in (CHART, busy, replace(CHART, title="ü" * 300, subtitle="x" * 300)):
        picture = draw_within(chart, most)
        assert 0 < len(picture) <= most
        with Image.open(BytesIO(picture)) as image:
            assert image.size == ((1_200, 500) if most > 20_000 else (600, 250))


def test_a_picture_that_has_no_room_is_none() -> None:
    assert draw_within(CHART, 500) == b""


def test_an_alert_is_shown_with_as_much_before_it_as_it_has_lasted() -> None:
    assert span_of(alert_of({}), START) == (START - HOUR, START)
    assert span_of(alert_of({}), START + 2 * HOUR) == (START - 2 * HOUR, START + 2 * HOUR)
    assert span_of(alert_of({}), START + 9 * DAY) == (START + 8 * DAY, START + 9 * DAY)
    over = alert_of({}, over=START + HOUR)
    assert span_of(over, START + 9 * DAY) == (START - HOUR - MINUTE, START + HOUR + MINUTE)


def test_only_the_series_of_the_alert_is_asked_for() -> None:
    rule = narrowed(rule_of('x{zone="eu"} > 400 and y > 1', "web*"), alert_of({"cpu": "0"}))
    assert rule.monitor_id == "web"
    assert condition_text(rule.condition) == 'x{zone="eu", cpu="0"} > 400 and y{cpu="0"} > 1'


def test_an_alert_is_drawn_and_said_in_words() -> None:
    curves = [curve({"cpu": "0"}, [100.0, 731.5, float("nan")]), curve({"cpu": "1"}, [5.0])]
    alert = alert_of({"cpu": "0"})
    chart = chart_of_alert(rule_of("x > 400"), alert, curves, *span_of(alert, START + 2 * MINUTE))
    assert chart is not None
    assert (len(chart.lines), chart.thresholds, chart.firing) == (1, [400.0], [(START, START + 2 * MINUTE)])
    # What was measured for three minutes isn't drawn at the edge of an empty hour.
    assert chart.start == START - 2 * MINUTE
    assert describe(chart) == ("x > 400, 22:12 to 22:15 UTC: lowest 100, highest 731.5, last 731.5, compared with 400")


def test_an_alert_of_which_nothing_is_known_has_no_picture() -> None:
    span = span_of(alert_of({}), START)
    for curves in ([], [curve({}, [float("nan")])], [curve({"cpu": "1"}, [5.0])]):
        assert chart_of_alert(rule_of("x > 400"), alert_of({}), curves, *span) is None
