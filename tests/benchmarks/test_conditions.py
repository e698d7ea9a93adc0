"""The benchmarks of conditions run, with few rules: what they say isn't judged here, but that they say it."""

import pytest

from benchmarks.conditions.__main__ import main
from benchmarks.conditions.load import KINDS, RULES_A_MONITOR, Load
from benchmarks.conditions.parts import PARTS, Run
from benchmarks.measure import print_table


@pytest.fixture(scope="module")
def run() -> Run:
    """Sizes that take seconds; starting a process for each figure would take more than the figures."""
    return Run(
        rules=400, of_a_kind=100, steps=3, series=20, days=1, backtests=1, changes=20, with_peer=False, apart=False
    )


@pytest.mark.process
@pytest.mark.parametrize("name", PARTS)
def test_each_part_measures_something(name: str, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    figures = PARTS[name](run)
    print_table(name, figures)
    assert figures
    assert all(figure.measured for figure in figures)
    assert figures[0].name.split()[0] in capsys.readouterr().out


@pytest.mark.process
def test_the_command_prints_the_table_of_the_parts_that_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["step", "--no-peer", "--rules", "400", "--steps", "3"]) == 0
    printed = capfd.readouterr().out
    assert "step of 400 rules" in printed
    assert "aren't judged" in printed


def test_the_command_names_the_parts_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "there is no part 'speed'; there are step, kinds" in capfd.readouterr().err


def test_the_kinds_have_the_shares_that_are_said() -> None:
    load = Load(20)
    groups = [kind.group for _, kind in load.kinds]
    assert len(groups) == load.rules == 20 * RULES_A_MONITOR
    thresholds = ("newest", "avg, 5m", "max, 5m", "p95, 5m")
    formulas = ("errors / requests", "ratio of sums by tag")
    shares = [sum(group in names for group in groups) / len(groups)
              for names in (thresholds, ("rate, 5m",), formulas, ("and", "or"))]  # fmt: skip
    assert shares == [0.6, 0.15, 0.1, 0.1]


def test_no_two_rules_have_the_same_numbers() -> None:
    load = Load(200)
    for kind in KINDS:
        if kind.operators:
            numbers = {kind.numbers(load, monitor) for monitor in range(200)}
            # Of two decimals some are the same by chance.
            assert len(numbers) > 190
