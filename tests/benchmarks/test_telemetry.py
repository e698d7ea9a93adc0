"""The benchmark of telemetry: pairs of turns become a figure that is judged by their median."""

from benchmarks.telemetry.__main__ import Measured
from benchmarks.telemetry.alone import micros_of_a_span
from tests.processes import receiver


def test_the_median_of_the_pairs_is_judged_and_calls_are_told_apart() -> None:
    measured = Measured(1_000, without=[1.0, 1.0, 2.0], followed=[1.04, 3.0, 2.0])
    figure = measured.figure("a point")
    assert (round(figure.judged or 0, 6), figure.verdict) == (4.0, "met")
    assert figure.measured == "2,013.3 µs CPU with spans"
    assert Measured(1_000, [1.0], [1.06]).figure("a point").verdict == "NOT MET"
    assert Measured(1_000, [1.0], [1.06]).figure("a call", is_judged=False).verdict == ""


def test_a_span_by_itself_reaches_the_collector_only_if_its_followed() -> None:
    with receiver() as collector:
        assert micros_of_a_span(collector, "always_off").median > 0
        assert not collector.deliveries
        assert micros_of_a_span(collector, "always_on").median > 0
        assert collector.deliveries
