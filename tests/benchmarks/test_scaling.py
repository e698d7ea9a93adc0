"""docs/scaling.md says what the script computes, and the script's arithmetic makes sense."""

from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.scaling import Costs, Demand, Limits, ceilings, main, meshes, parts, table

PAGE = (Path(__file__).parents[2] / "docs" / "scaling.md").read_text()
COSTS, LIMITS = Costs(), Limits()


def test_the_page_shows_what_the_script_computes() -> None:
    assert table(Demand(), COSTS, LIMITS) in PAGE
    assert ceilings(Demand(), COSTS, LIMITS) in PAGE


def test_the_page_tells_each_cost_by_its_option_with_its_value() -> None:
    for field in fields(Costs):
        option = f"`{field.name.replace('_', '-')}`"
        [row] = [line for line in PAGE.split("\n") if line.startswith("|") and option in line]
        assert f"{field.default:,g}" in row


def test_the_command_takes_other_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--rules", "1000", "--series", "5000", "--vcpu-hour", "0"])
    said = capsys.readouterr().out
    assert said.startswith("1,000 rules, 5,000 series")
    assert "meshes" not in said


@given(st.floats(1_000, 1e8), st.floats(1, 100), st.floats(1, 10))
def test_what_is_divided_among_meshes_fits_into_each_and_more_rules_never_take_less(
    rules: float, series: float, more: float
) -> None:
    demand = Demand(rules=rules, series=rules * series)
    count = meshes(demand, COSTS, LIMITS)
    each = replace(demand, rules=rules / count, series=demand.series / count)
    assert all(part.used <= 1 for part in parts(each, COSTS, LIMITS))
    larger = replace(demand, rules=rules * more, series=demand.series * more)
    for small, large in zip(parts(demand, COSTS, LIMITS), parts(larger, COSTS, LIMITS), strict=True):
        assert (small.replicas, small.vcpus) <= (large.replicas, large.vcpus)
