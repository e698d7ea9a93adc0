"""What of a source the rules ask for."""

from dataclasses import replace
from typing import Any

import pytest

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.model.reading import LOOK_BACK
from monitors.evaluator.model.series import FieldType, SeriesKey
from monitors.evaluator.model.shards import ALL_SHARDS, shard_of
from monitors.evaluator.model.spec import RuleSpec
from monitors.evaluator.points import Definition
from monitors.evaluator.polling import interest as module
from monitors.evaluator.polling.interest import NOBODY, Interest
from monitors.evaluator.sources.port import Selection
from monitors.evaluator.watch import RuleChanges
from monitors.mesh.times import HOUR
from tests.evaluator.engine.scene import absence, threshold


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture
def interest(catalogue: Catalogue) -> Interest:
    return Interest(catalogue)


def know(catalogue: Catalogue, *monitors: str, tenant: str = "t") -> None:
    for monitor in monitors:
        catalogue.find_or_add(Definition(SeriesKey(tenant, monitor, "host", "cpu"), FieldType.FLOAT))


def rule(monitor: str, rule_id: str = "rule_1", **changes: Any) -> RuleSpec:
    return replace(threshold(rule_id=rule_id, **changes), monitor=monitor)


def test_without_rules_nothing_is_asked_for(interest: Interest) -> None:
    assert interest.selection(ALL_SHARDS) == NOBODY
    assert interest.reach == LOOK_BACK


def test_the_monitors_and_fields_that_rules_name_are_asked_for_and_no_others(interest: Interest) -> None:
    interest.follow(RuleChanges(put=[rule("m"), rule("n", "rule_2", field="load"), rule("m", "rule_3")]))
    assert interest.selection(ALL_SHARDS) == Selection(("m", "n"), fields=("cpu", "load"))
    interest.follow(RuleChanges(removed=[rule("n", "rule_2").key], put=[rule("o", "rule_3")]))
    assert interest.selection(ALL_SHARDS) == Selection(("m", "o"), fields=("cpu",))


def test_a_snapshot_takes_the_place_of_everything(interest: Interest) -> None:
    interest.follow(RuleChanges(put=[rule("m"), rule("n", "rule_2")]))
    interest.follow(RuleChanges(put=[rule("o")], is_snapshot=True))
    assert interest.selection(ALL_SHARDS) == Selection(("o",), fields=("cpu",))


def test_a_field_with_points_may_be_one_that_its_measurement_qualifies(interest: Interest) -> None:
    interest.follow(RuleChanges(put=[rule("m", field="mem.used.percent")]))
    assert interest.selection(ALL_SHARDS).fields == ("mem.used.percent", "percent", "used.percent")


def test_who_waits_for_any_field_asks_for_all_of_them(interest: Interest) -> None:
    interest.follow(RuleChanges(put=[rule("m"), replace(absence(60), rule_id="rule_2")]))
    assert interest.selection(ALL_SHARDS) == Selection(("m",))


def test_a_pattern_asks_for_all_that_it_matches_also_for_what_comes_later(
    interest: Interest, catalogue: Catalogue
) -> None:
    know(catalogue, "web-1", "db-1")
    know(catalogue, "web-9", tenant="other")
    interest.follow(RuleChanges(put=[rule("web-*")]))
    assert interest.selection(ALL_SHARDS).monitors == ("web-1",)
    know(catalogue, "web-2")
    assert interest.selection(ALL_SHARDS).monitors == ("web-1", "web-2")


def test_only_the_monitors_of_held_shards_are_asked_for(interest: Interest) -> None:
    interest.follow(RuleChanges(put=[rule("m"), rule("n", "rule_2")]))
    assert interest.selection({shard_of("t", "n")}).monitors == ("n",)
    assert interest.selection(()) == NOBODY


def test_many_monitors_are_not_named_one_by_one_if_they_are_most_of_all(
    interest: Interest, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_NAMED", 2)
    know(catalogue, "a", "b", "c", "d", "e")
    interest.follow(RuleChanges(put=[rule(name, name) for name in "abc"]))
    assert interest.selection(ALL_SHARDS).monitors is None
    know(catalogue, "f")
    assert interest.selection(ALL_SHARDS).monitors == ("a", "b", "c")


def test_rules_look_back_as_far_as_the_one_that_does_most(interest: Interest) -> None:
    longest = replace(absence(7200), rule_id="rule_2")
    interest.follow(RuleChanges(put=[rule("m"), longest]))
    assert interest.reach == 2 * HOUR
    interest.follow(RuleChanges(removed=[longest.key]))
    assert interest.reach == LOOK_BACK
