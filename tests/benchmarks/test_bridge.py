"""The benchmark of the bridge runs, with few calls: what it says isn't judged here, but that it says it."""

import pytest

from benchmarks.bridge.__main__ import main
from benchmarks.bridge.parts import PARTS, Run


@pytest.fixture(scope="module")
def run() -> Run:
    """Sizes that take seconds."""
    return Run(starts=1, calls=16, cancellations=2)


@pytest.mark.process
@pytest.mark.parametrize(("name", "lines"), [("calls", 8), ("cancelling", 4)])
def test_each_part_measures_something(name: str, lines: int, run: Run) -> None:
    figures = PARTS[name](run)
    assert len(figures) == lines
    assert all(figure.measured for figure in figures)
    assert not [figure for figure in figures if figure.unit == "calls" and figure.judged]


@pytest.mark.process
def test_the_command_weighs_both_installations(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["installs", "--starts", "1"]) == 0
    printed = capfd.readouterr().out
    assert "installed packages" in printed
    assert "all in one" in printed


def test_the_command_names_the_parts_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "there is no part 'speed'; there are installs, calls, cancelling" in capfd.readouterr().err
