"""What is called a trend."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.soak.trend import steadily_grown, trend_of

SECONDS = [10.0 * number for number in range(90)]
"""A quarter of an hour."""
AMOUNTS = st.floats(-1000, 1000)


@given(AMOUNTS, AMOUNTS)
def test_what_lies_on_a_line_has_its_slope_and_no_error(start: float, an_hour: float) -> None:
    trend = trend_of(SECONDS, [start + an_hour * second / 3600 for second in SECONDS])
    assert trend.slope == pytest.approx(an_hour, abs=1e-6)
    assert trend.error == pytest.approx(0, abs=1e-5)
    assert trend.grown == pytest.approx(an_hour * trend.hours, abs=1e-5)


@given(st.lists(st.integers(-3, 3), min_size=90, max_size=90), st.integers(0, 1000))
def test_what_goes_up_and_down_around_a_level_has_grown_by_no_more_than_it_swings(noise: list[int], level: int) -> None:
    assert trend_of(SECONDS, [level + one for one in noise]).grown <= 2 * 6


def test_a_leak_is_seen_through_noise() -> None:
    swings = [(-1) ** number * 5.0 for number in range(90)]
    leaking = trend_of(SECONDS, [100 + swing + second / 60 for swing, second in zip(swings, SECONDS, strict=True)])
    assert leaking.slope == pytest.approx(60, rel=0.1)
    assert leaking.grown > 10


def test_what_leaks_grows_steadily_and_what_is_kept_after_a_burst_does_not() -> None:
    leaking = [100 + second / 60 for second in SECONDS]
    burst = [100.0 + 10 * (300 <= second < 330) + 20 * (second >= 330) for second in SECONDS]
    assert steadily_grown(SECONDS, leaking) == pytest.approx(SECONDS[-1] / 60, rel=0.05)
    assert trend_of(SECONDS, burst).grown > 10
    assert steadily_grown(SECONDS, burst) <= 0.01


def test_of_two_values_there_is_no_trend() -> None:
    with pytest.raises(ValueError, match="of 2 values"):
        trend_of([0, 1], [0, 1])
