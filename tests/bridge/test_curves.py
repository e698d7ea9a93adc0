"""A curve in few numbers and characters."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.bridge.curves import BARS, STEPS, UNKNOWN, known_part, shortened, sparkline, thinned

VALUES = st.lists(st.floats(width=64), max_size=200)


@given(VALUES)
def test_any_curve_becomes_at_most_24_of_its_own_values(values: list[float]) -> None:
    known = values[known_part(values)]
    steps = thinned(range(len(known)), known)
    assert len(steps) == min(len(known), STEPS)
    assert all(math.isnan(step) or step in known for step in steps)
    assert all(character in BARS + UNKNOWN for character in sparkline(steps))
    assert len(sparkline(steps)) == len(steps)
    assert all(math.isfinite(shortened(step)) for step in steps if math.isfinite(step))


@pytest.mark.parametrize("spike", [0.0, 100.0, math.inf, -math.inf])
def test_a_spike_is_never_lost(spike: float) -> None:
    values = [50.0] * 1_000
    values[617] = spike
    assert thinned(range(1_000), values).count(spike) == 1


def test_where_nothing_is_known_is_a_dot() -> None:
    times = [0, *range(100, 200)]
    assert sparkline(thinned(times, [1.0] * 101)) == "▅···········▅▅▅▅▅▅▅▅▅▅▅▅"
    assert sparkline([1.0, math.nan, 2.0, math.inf, -math.inf, 1.5]) == "▁·██▁▅"
    assert known_part([math.nan, 1.0, math.nan, 2.0, math.nan]) == slice(1, 4)
    assert [math.nan][known_part([math.nan])] == []
