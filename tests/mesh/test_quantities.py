"""Durations as text, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.quantities import format_duration, read_duration
from monitors.mesh.times import DAY, MINUTE, SECOND


@given(st.integers(0, 10_000 * DAY))
def test_a_duration_is_read_as_it_was_written(nanos: int) -> None:
    assert read_duration(format_duration(nanos)) == nanos


@pytest.mark.parametrize(("text", "nanos"), [("10s", 10 * SECOND), ("1m30s", 90 * SECOND), ("90m", 90 * MINUTE)])
def test_a_duration_is_numbers_with_units(text: str, nanos: int) -> None:
    assert read_duration(text) == nanos


@pytest.mark.parametrize("text", ["", "10", "s", "-1s", "1.5s", "1 s", "١s", "1s ", "1000000000s", "1y"])
def test_anything_else_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="isn't a duration such as 10s"):
        read_duration(text)
