"""The soak, short: two minutes at the full rates."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.soak.plan import Plan
from tests.soak.run import soak
from tests.soak.watch import HELD

pytestmark = pytest.mark.process


def test_nothing_of_a_mesh_under_an_even_load_grows_and_all_is_told(
    tmp_path: Path, figure: Callable[[str], None]
) -> None:
    report = soak(tmp_path / "home", Plan(), 120)
    figure(f"two minutes of {Plan.points:,} points and {Plan.transitions} transitions a second:\n{report}")
    assert report.complaints() == []


def test_what_leaks_is_found_out(tmp_path: Path) -> None:
    report = soak(tmp_path / "home", Plan(rules=1000, points=400), 20, "memory,tasks,files,connections,threads")
    found = [complaint for complaint in report.complaints() if complaint.startswith("notifier: ")]
    assert [complaint.split()[1] for complaint in found] == list(HELD)
