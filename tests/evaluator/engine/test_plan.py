"""Which instances rules have, and that changes of rules and series amount to the same as a fresh plan."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.arrays import Links
from monitors.evaluator.model.bounds import Operator
from monitors.evaluator.model.instances import Limits
from monitors.evaluator.model.plan import Plan
from monitors.evaluator.model.reading import Aggregation, Function, Occurrence, TagFilter
from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.shards import shard_of
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, RuleKey, RuleSpec
from monitors.evaluator.model.texts import code_of
from tests.evaluator.engine.scene import SECOND, absence, series, threshold

KNOWN = [
    Series(
        index,
        SeriesKey(tenant, monitor, measurement, field, (("core", core), ("os", "x")) if core else ()),
        FieldType.STRING if field == "load" and core == "1" else FieldType.FLOAT,
    )
    for index, (tenant, monitor, measurement, field, core) in enumerate(
        (tenant, monitor, measurement, field, core)
        for tenant in ("t", "u")
        for monitor in ("m1", "m2", "n")
        for measurement in ("host", "guest")
        for field in ("cpu", "load")
        for core in ("", "0", "1")
    )
]
SHARDS_OF_KNOWN = sorted({shard_of(one.key.tenant, one.key.monitor) for one in KNOWN})


@st.composite
def specs(draw: st.DrawFn) -> RuleSpec:
    kind = draw(st.sampled_from(ConditionKind))
    return RuleSpec(
        draw(st.sampled_from(["t", "u"])),
        draw(st.sampled_from(["rule_1", "rule_2", "rule_3"])),
        draw(st.sampled_from(["m1", "n", "m*", "*", "*2", "nothing"])),
        kind,
        measurement=draw(st.sampled_from(["", "host"])),
        of_text=draw(st.booleans()),
        field=draw(st.sampled_from(["cpu", "guest.load"] + ([""] if kind is ConditionKind.ABSENCE else []))),
        texts=draw(st.sampled_from([(), ("up",), ("up", "down")])),
        filters=draw(st.sampled_from([(), (TagFilter("core", "0"),), (TagFilter("core", "", negated=True),)])),
        group_by=draw(st.sampled_from([(), (), ("core",), ("os",)])),
        window=draw(st.sampled_from([5, 60])) * SECOND,
        absent_for=draw(st.sampled_from([7, 90])) * SECOND,
    )


def shape(plan: Plan) -> dict[InstanceKey, tuple[object, ...]]:
    """What the plan is, whatever its places, rows and scopes are numbered."""
    found: dict[InstanceKey, tuple[object, ...]] = {}
    for place in range(plan.size):
        if plan.instances.rule[place] < 0:
            continue
        key, scope = plan.key_of(place), int(plan.instances.scope[place])
        inputs = frozenset(plan.inputs_of(place))
        read = {index for index in range(len(plan.series)) if place in plan.instances_of_series.of(index)}
        assert inputs == read
        assert len(plan.inputs_of(place)) == len(inputs)
        assert plan.place_of(key) == place
        siblings = frozenset(str(plan.key_of(other)) for other in plan.instances_of_scope.of(scope))
        rows = np.array(sorted(inputs))
        reach = tuple(column.tolist() for column in (rows, *plan.reach_of(rows)))
        columns = plan.instances
        compared = (float(columns.low[place]), float(columns.high[place]), bool(columns.outside[place]))
        found[key] = (plan.spec(RuleKey(key.tenant, key.rule_id)), inputs, siblings, reach, compared)
    assert plan.keys_of(plan.places()) == list(found)
    return found


def naive(rules: dict[RuleKey, RuleSpec], known: list[Series]) -> dict[InstanceKey, frozenset[int]]:
    """Instances and their inputs, straight from the definition."""
    found: dict[InstanceKey, frozenset[int]] = {}
    for spec in rules.values():
        for one in known:
            if spec.matches(one):
                key = InstanceKey(spec.tenant, spec.rule_id, one.key.monitor, spec.instance_tags(one.key))
                before = found.get(key, frozenset())
                if spec.kind is ConditionKind.ABSENCE or not before:
                    found[key] = before | {one.index}
    return found


CHANGES = st.lists(st.one_of(specs(), st.tuples(st.just("series"), st.integers(1, 12)), specs().map(lambda s: s.key)))


@settings(max_examples=150, deadline=None)
@given(CHANGES)
def test_any_way_of_changes_ends_in_the_same_plan(changes: list[object]) -> None:
    plan, known = Plan(), 0
    rules: dict[RuleKey, RuleSpec] = {}
    places: dict[InstanceKey, int] = {}
    for change in changes:
        if isinstance(change, RuleSpec):
            done = plan.put_rule(change)
            rules[change.key] = change
        elif isinstance(change, tuple) and change[0] == "series":
            done = plan.add_series(KNOWN[known : known + change[1]])
            known = min(known + change[1], len(KNOWN))
        else:
            done = plan.remove_rule(change)  # type: ignore[arg-type]
            rules.pop(change, None)  # type: ignore[call-overload]
        gone = set(done.removed.values())
        plan.free(done.removed)
        now = {key: place for key in naive(rules, KNOWN[:known]) if (place := plan.place_of(key)) is not None}
        assert all(now[key] == place for key, place in places.items() if key not in gone)
        places = now
    found = shape(plan)
    assert {key: inputs[1] for key, inputs in found.items()} == naive(rules, KNOWN[:known])
    fresh = Plan()
    fresh.add_series(KNOWN[:known])
    for spec in rules.values():
        fresh.put_rule(spec)
    assert found == shape(fresh)
    assert plan.instance_count == fresh.instance_count == len(found)


@settings(max_examples=150, deadline=None)
@given(st.lists(specs(), max_size=12), st.lists(specs(), max_size=12), st.integers(0, len(KNOWN)))
def test_many_rules_at_once_end_in_the_same_plan_as_one_by_one(
    first: list[RuleSpec], second: list[RuleSpec], known: int
) -> None:
    together, single = Plan(), Plan()
    for rules, heard in ((first, KNOWN[:known]), (second, KNOWN)):
        together.free(together.put_rules(rules).removed)
        created = together.add_series(heard).created
        assert len(set(created)) == len(created)
        for spec in rules:
            single.free(single.put_rule(spec).removed)
        for one in heard:
            single.add_series([one])
    assert shape(together) == shape(single)
    assert set(together.places_of(list(together.rules())).tolist()) == set(together.places().tolist())


@settings(max_examples=100, deadline=None)
@given(st.lists(specs(), max_size=12), st.lists(specs().map(lambda spec: spec.key), max_size=3), st.data())
def test_the_rules_on_some_shards_make_the_same_of_them_as_all_rules_do(
    rules: list[RuleSpec], removed: list[RuleKey], data: st.DataObject
) -> None:
    all_, shards = Plan(), data.draw(st.sets(st.sampled_from(SHARDS_OF_KNOWN)))
    all_.add_series(KNOWN)
    for spec in rules:
        all_.free(all_.put_rule(spec).removed)
    for key in removed:
        all_.free(all_.remove_rule(key).removed)
    keys = all_.rules_on(shards)
    assert len(keys) == len(set(keys))
    some = Plan(shards)
    some.add_series(KNOWN)
    some.put_rules(all_.spec(key) for key in keys)
    all_.free(all_.hold(shards).removed)
    assert shape(some) == shape(all_)
    named = {shard_of(key.tenant, all_.spec(key).monitor) for key in keys if not all_.spec(key).is_pattern}
    assert named <= shards


@settings(max_examples=50, deadline=None)
@given(st.lists(specs(), max_size=8), st.integers(0, len(KNOWN)))
def test_copied_monitors_are_the_same_and_what_becomes_known_to_one_isnt_known_to_the_other(
    rules: list[RuleSpec], known: int
) -> None:
    one, whole = Plan(), Plan()
    one.add_series(KNOWN[:known])
    copied = Plan(monitors=one.monitors.copy())
    one.add_series(KNOWN)
    assert len(copied.series) == known
    copied.add_series(KNOWN)
    whole.add_series(KNOWN)
    for plan in (copied, whole):
        plan.put_rules(rules)
    assert shape(copied) == shape(whole)
    assert list(copied.series) == KNOWN


def test_many_rules_at_once_stay_within_their_tenants_limit() -> None:
    plan = Plan(limits=Limits(per_tenant=3))
    plan.add_series(KNOWN)
    one = replace(threshold(), tenant="t", monitor="n", measurement="host", filters=(TagFilter("core", "0"),))
    rules = [replace(one, rule_id=f"rule_{number}") for number in range(5)]
    plan.put_rules(rules)
    assert plan.instance_count == 3
    assert list(plan.problems) == [rule.key for rule in rules[3:]]
    assert [len(plan.places_of([rule.key])) for rule in rules] == [1, 1, 1, 0, 0]


def test_a_pattern_matches_any_run_of_characters_and_nothing_else_is_special() -> None:
    spec = threshold(monitor="mon_*.x?")
    assert spec.matches_monitor("mon_check.x?")
    assert spec.matches_monitor("mon_.x?")
    assert not spec.matches_monitor("mon_checkyx?")
    assert not spec.matches_monitor("mon_check.xy")
    # A tenant's pattern must not be able to keep the evaluator busy for years.
    assert not threshold(monitor="*a" * 30 + "*b").matches_monitor("a" * 200)


def test_a_missing_tag_equals_the_empty_text() -> None:
    both = series(0, core="0"), series(1)
    assert [threshold(filters=(TagFilter("core", ""),)).matches(one) for one in both] == [False, True]
    assert [threshold(filters=(TagFilter("core", "0", True),)).matches(one) for one in both] == [False, True]


@pytest.mark.parametrize("kind", FieldType)
def test_texts_are_for_rules_of_text_and_for_those_that_only_count(kind: FieldType) -> None:
    one = replace(series(0), type=kind)
    is_text = kind is FieldType.STRING
    assert threshold(of_text=True, texts=("up",)).matches(one) is is_text
    assert threshold().matches(one) is not is_text
    assert threshold(kind=ConditionKind.RANGE).matches(one) is not is_text
    assert threshold(function=Function.AGE).matches(one) is not is_text
    for counting in (Aggregation.COUNT, Aggregation.CHANGES):
        assert threshold(aggregation=counting).matches(one)
        assert threshold(aggregation=counting, occurrence=Occurrence()).matches(one) is not is_text
    assert absence(60).matches(one)
    assert absence(60, field="cpu").matches(one)


def test_a_rule_keeps_the_texts_that_it_compares_with_and_shares_its_profile_with_others() -> None:
    plan = Plan()
    rules = [
        threshold(code_of(text), of_text=True, texts=(text,), operator=Operator.EQUAL, rule_id=f"rule_{text}")
        for text in ("up", "down")
    ]
    plan.put_rules(rules)
    assert [plan.spec(one.key) for one in rules] == rules
    assert len(plan.profiles.used()) == 1
    edited = replace(rules[0], of_text=False, texts=())
    plan.put_rule(edited)
    assert plan.spec(edited.key) == edited
    plan.remove_rule(rules[1].key)
    plan.put_rule(replace(rules[1], of_text=False, texts=()))
    assert plan.spec(rules[1].key).texts == ()


def test_another_tenants_series_are_never_an_input() -> None:
    foreign = replace(series(0), key=series(0).key._replace(tenant="u"))
    assert not threshold(monitor="*").matches(foreign)


def test_grouping_absence_by_a_tag_makes_one_instance_of_all_its_series() -> None:
    spec = absence(60, group_by=("core",))
    assert spec.instance_tags(series(0, core="0", os="x").key) == (("core", "0"),)


def test_what_was_freed_is_used_again() -> None:
    plan = Plan()
    plan.add_series([series(0)])
    for spec in (threshold(), absence(60)) * 50:
        plan.put_rule(spec)
        assert (plan.size, int(plan.instances.scope[0]), len(plan.profiles.templates)) == (1, 0, 1)
        plan.free(plan.remove_rule(spec.key).removed)
    assert plan.instance_count == plan.rule_count == 0


def test_a_series_out_of_turn_is_refused() -> None:
    with pytest.raises(ValueError, match="series 3 came before series 0"):
        Plan().add_series([series(3)])


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 5))), st.lists(st.integers(0, 60)))
def test_links_follow_what_was_added_and_not_removed(changes: list[tuple[bool, int, int]], lefts: list[int]) -> None:
    links, expected = Links(), set[tuple[int, int]]()
    for add, left, right in changes:
        if add and (left, right) not in expected:
            links.add(left, right)
            expected.add((left, right))
        elif (left, right) in expected:
            links.remove(left, right)
            expected.discard((left, right))
        else:
            with pytest.raises(KeyError):
                links.remove(left, right) if not add else links.remove(left, 99)
    positions, rights = links.follow(np.array(lefts, dtype=np.int32))
    found = sorted(zip(np.arange(len(lefts))[positions].tolist(), rights.tolist(), strict=True))
    wanted = sorted((at, right) for at, one in enumerate(lefts) for left, right in expected if left == one)
    assert found == wanted


def test_a_rule_keeps_its_first_instances_and_says_how_many_series_are_left_out() -> None:
    plan = Plan(limits=Limits(per_rule=3))
    plan.add_series([series(index, core=str(index)) for index in range(5)])
    plan.put_rule(threshold())
    plan.add_series([series(5, core="5")])
    kept = [plan.key_of(place).tags for place in sorted(plan.places_of([threshold().key]))]
    assert kept == [(("core", "0"),), (("core", "1"),), (("core", "2"),)]
    assert plan.problems[threshold().key].startswith("3 of its series are not evaluated, since a rule's limit of 3")
    plan.put_rule(threshold(filters=(TagFilter("core", "4"),)))
    assert not plan.problems
    assert [plan.key_of(place).tags for place in plan.places_of([threshold().key])] == [(("core", "4"),)]


def test_a_place_that_is_free_has_no_key() -> None:
    plan = Plan()
    plan.add_series([series(0), series(1, core="1")])
    plan.put_rule(threshold())
    taken = plan.places_of([threshold().key])
    assert [key.tags for key in plan.keys_of(taken)] == [series(0).key.tags, (("core", "1"),)]
    plan.free(plan.remove_rule(threshold().key).removed)
    with pytest.raises(LookupError):
        plan.keys_of(taken)


def test_a_tenants_rules_share_its_limit_and_another_tenants_have_their_own() -> None:
    plan = Plan(limits=Limits(per_tenant=2))
    ours = [series(index, core=str(index)) for index in range(3)]
    theirs = [replace(one, index=one.index + 3, key=one.key._replace(tenant="u")) for one in ours]
    plan.add_series([*ours, *theirs])
    first, second = threshold(rule_id="rule_1", filters=(TagFilter("core", "0"),)), threshold(rule_id="rule_2")
    for spec in (first, second, replace(second, tenant="u", filters=(TagFilter("core", "1"),))):
        plan.put_rule(spec)
    assert [len(plan.places_of([key])) for key in (first.key, second.key, RuleKey("u", "rule_2"))] == [1, 1, 1]
    assert "the tenant's limit of 2" in plan.problems[second.key]
    assert RuleKey("u", "rule_2") not in plan.problems
    plan.free(plan.remove_rule(first.key).removed)
    plan.put_rule(second)
    assert len(plan.places_of([second.key])) == 2
