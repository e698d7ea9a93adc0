"""The benchmark of the stores runs, with few rows: what it says isn't judged here, but that it says it."""

import pytest

from benchmarks.store.__main__ import main
from benchmarks.store.parts import PARTS, Run
from benchmarks.store.targets import TARGETS
from tests.servers.mariadb import program


@pytest.mark.process
@pytest.mark.parametrize("on", TARGETS)
def test_each_part_measures_something_on_each_database(on: str) -> None:
    if on == "mariadb":
        program("mariadbd")
    run = Run(singles=4, rules=20, rounds=1, alerts=600, pages=2, deliveries=70)
    with TARGETS[on]() as target:
        figures = [figure for part in PARTS.values() for figure in part(run, target)]
    assert len(figures) == 12
    assert all(figure.measured for figure in figures)


@pytest.mark.process
def test_the_command_prints_the_settings_and_the_parts_that_are_named(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["queue", "--on", "sqlite", "--deliveries", "64"]) == 0
    printed = capfd.readouterr().out
    assert "synchronous FULL" in printed
    assert "deliveries claimed and finished" in printed
    assert "aren't judged" in printed


def test_the_command_names_the_parts_there_are(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["speed"])
    assert "there is no part 'speed'; there are rules, queue, lists" in capfd.readouterr().err
