"""The benchmarks of the evaluation run, with few rules: what they say isn't judged here, but that they say it."""

import numpy as np
import pytest

from benchmarks.evaluation.__main__ import main
from benchmarks.evaluation.load import Load
from benchmarks.evaluation.parts import PARTS, PEERLESS, Run
from benchmarks.measure import Figure, Spread, print_table


@pytest.fixture(scope="module")
def run() -> Run:
    """Sizes that take seconds."""
    return Run(rules=1_000, large=1_000, ticks=5, period=0.02, steps=3, changes=3, alerts=20, with_peer=False)


@pytest.mark.process
@pytest.mark.parametrize("name", PEERLESS)
def test_each_part_measures_something(name: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    figures = PARTS[name](run)
    print_table(name, figures)
    printed = capsys.readouterr().out
    assert figures
    assert all(figure.measured for figure in figures)
    assert figures[0].name.split()[0] in printed


@pytest.mark.process
def test_the_command_prints_the_table_of_the_parts_that_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "--no-peer", "--rules", "1000", "--steps", "2", "--ticks", "2"]) == 0
    printed = capfd.readouterr().out
    assert "step alone, 1,000 rules, 2 ticks" in printed
    assert "aren't judged" in printed


def test_the_command_names_the_parts_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "there is no part 'speed'; there are prometheus, step" in capfd.readouterr().err


def test_parts_that_need_prometheus_say_nothing_without_it(run: Run) -> None:
    assert PARTS["prometheus"](run) == []


@pytest.mark.parametrize("size", [100, 1_000, 10_000])
def test_as_many_rules_fire_and_flip_as_a_load_says(size: int) -> None:
    load = Load(size)
    firing, fired, resolved = np.zeros(size, np.bool_), 0, 0
    for tick in range(20):
        now = load.values(tick) > load.thresholds
        fired, resolved = fired + int((now & ~firing).sum()), resolved + int((firing & ~now).sum())
        firing = now
        assert (fired, resolved) == (load.fired(tick + 1), load.resolved(tick + 1))


@pytest.mark.parametrize(
    ("judged", "more_is_better", "verdict"),
    [(300.0, True, "met"), (1_000.0, True, "stretch"), (299.0, True, "NOT MET"), (300.0, False, "met"),
     (1_001.0, False, "NOT MET"), (None, True, "")],
)  # fmt: skip
def test_a_figure_is_judged_by_its_goals(judged: float | None, more_is_better: bool, verdict: str) -> None:
    stretch = 1_000 if more_is_better else 100
    must = 300 if more_is_better else 1_000
    figure = Figure("x", "y", judged=judged, must=must, stretch=stretch, more_is_better=more_is_better)
    assert figure.verdict == verdict


def test_a_spread_shows_the_median_and_both_ends() -> None:
    assert f"{Spread.of([3.0, 1.0, 2.0]):.1f}" == "2.0 [1.0..3.0]"
