"""How unusual a value is, compared with the oracle and by numbers that can be checked by hand."""

import math

from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.reading import Aggregation, Function, Season
from monitors.evaluator.model.spec import RuleSpec
from monitors.mesh.times import DAY, HOUR, MINUTE
from tests.evaluator.engine.comparing import plainly
from tests.evaluator.engine.oracle import Oracle
from tests.evaluator.engine.scene import NAN, SECOND, START, Scene, at, points, series, threshold
from tests.fuzzing import share


def anomaly(low: float = 4, **changes: object) -> RuleSpec:
    """`anomaly(cpu, 60s) > low`."""
    return threshold(low, function=Function.ANOMALY, **{"since": 60, "interval": 1800, **changes})


def scores(spec: RuleSpec, rows: list[tuple[int, float, float]]) -> list[tuple[float, float]]:
    """Seconds and scores at which the rule began to fire."""
    scene = Scene(spec)
    told = scene.evaluation.advance(points(rows), at(rows[-1][1]))
    # To four digits after the point.
    return [((one.time - START) / SECOND, round(one.value or 0.0, 4)) for one in told]


def test_the_score_is_the_distance_from_the_median_by_the_median_distance() -> None:
    # The median of 1 to 11 is 6, and that of the distances 3.
    rows = [(0, float(second), float(second)) for second in range(1, 12)]
    assert scores(anomaly(), [*rows, (0, 12, 30)]) == [(12, round(24 / (1.4826 * 3), 4))]


def test_where_most_of_the_past_is_the_same_the_mean_distance_counts() -> None:
    rows = [(0, float(second), 5.0 if second > 2 else 15.0) for second in range(1, 11)]
    assert scores(anomaly(), [*rows, (0, 11, 25)]) == [(11, round(20 / (1.2533 * 2), 4))]


def test_what_never_changed_is_infinitely_unusual_once_it_does() -> None:
    rows = [(0, float(second), 5.0) for second in range(1, 21)]
    assert scores(anomaly(), [*rows, (0, 21, 6)]) == [(21, math.inf)]


def test_of_less_than_ten_numbers_nothing_is_known() -> None:
    rows = [(0, float(second), 5.0) for second in range(1, 10)]
    assert scores(anomaly(), [*rows, (0, 10, 60)]) == []


def test_with_a_season_the_same_hour_of_other_days_counts() -> None:
    def day(number: int, values: list[float], hour: int = 0) -> list[tuple[int, float, float]]:
        begin = (number * DAY + hour * HOUR) // SECOND
        return [(0, begin + 60.0 * minute, value) for minute, value in enumerate(values)]

    usual = [100.0 + minute % 5 for minute in range(20)]
    # An hour later it's always quiet, so that 100 is usual in the first hour and not in the second.
    quiet = [
        (0, number * DAY / SECOND + 3600 + 60.0 * minute, float(minute % 5))
        for number in range(3)
        for minute in range(20)
    ]
    past = sorted([*(row for number in range(3) for row in day(number, usual)), *quiet], key=lambda row: row[1])
    spec = anomaly(since=3 * DAY / SECOND, season=Season.DAILY)
    first, second = 3 * DAY / SECOND, 3 * DAY / SECOND + 3600
    assert scores(spec, [*past, (0, first + 1, 102.0)]) == []
    assert [time for time, _ in scores(spec, [*past, (0, first + 1, 102.0), (0, second + 1, 100.0)])] == [second + 1]


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, float, float]]:
    """Many points of one series, some of them hours apart."""
    values = st.sampled_from([0.0, 1.0, 1.0, 2.0, 3.5, 10.0, NAN, math.inf])
    step = draw(st.sampled_from([1.0, 7.0, 600.0, 1800.0]))
    count = draw(st.integers(1, 80))
    return [(0, step * number, draw(values)) for number in range(1, count)]


@share(100)
@given(
    histories(),
    st.sampled_from([20 * SECOND, 5 * MINUTE, 2 * HOUR, 3 * DAY]),
    st.sampled_from(Season),
    st.sampled_from([(Aggregation.LATEST, 300), (Aggregation.AVERAGE, 5), (Aggregation.MAXIMUM, 1200)]),
    st.sampled_from([0, 3]),
)
def test_engine_and_oracle_agree(
    rows: list[tuple[int, float, float]], past: int, season: Season, measured: tuple[Aggregation, int], offset: int
) -> None:
    aggregation, window = measured
    spec = anomaly(1, since=past / SECOND, season=season, aggregation=aggregation, window=window, offset=offset)
    scene, oracle = Scene(spec), Oracle(spec, [series(0)], START)
    for row in rows:
        told = scene.evaluation.advance(points([row]), at(row[1]))
        assert [plainly(one) for one in told] == oracle.feed([(row[0], at(row[1]), row[2])], at(row[1]))
