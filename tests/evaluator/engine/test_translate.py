"""From the contract's messages to the model and back."""

import math
import zlib
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.evaluator.conditions import NotEvaluable
from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.reading import LOOK_BACK, Aggregation, Function, TagFilter
from monitors.evaluator.model.shards import shard_of
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, Level, MissingPolicy, RuleSpec, Severity
from monitors.evaluator.model.texts import code_of
from monitors.evaluator.translate import from_transition, to_open_episode, to_spec
from monitors.mesh.times import MINUTE, SECOND, to_duration
from monitors.v1 import alert_pb2, condition_pb2, mesh_pb2, rule_pb2


def watched(condition: condition_pb2.Condition) -> mesh_pb2.WatchedRule:
    rule = rule_pb2.Rule(id="rule_1", monitor_id="mon_*", condition=condition)
    return mesh_pb2.WatchedRule(tenant_id="t", rule=rule, revision=7)


def compared(**changes: object) -> condition_pb2.Condition:
    """`avg(cpu, 1m) > 90`, with changes to the comparison."""
    condition = condition_pb2.Condition()
    made = condition.comparison
    made.left.input.field = "cpu"
    made.left.input.aggregation = condition_pb2.AGGREGATION_AVERAGE
    made.left.input.window.CopyFrom(to_duration(MINUTE))
    made.operator = condition_pb2.COMPARISON_OPERATOR_GREATER
    made.expression.number = 90
    made.MergeFrom(condition_pb2.Comparison(**changes))  # type: ignore[arg-type]
    return condition


def test_a_comparison_becomes_a_threshold_with_all_of_its_parts() -> None:
    message = watched(compared(tolerance=0.5))
    taken = message.rule.condition.comparison.left.input
    taken.measurement = "host"
    taken.filters.add(tag="core", operator=condition_pb2.TAG_OPERATOR_NOT_EQUAL, value="0")
    message.rule.for_duration.CopyFrom(to_duration(30 * SECOND))
    message.rule.keep_firing_for.CopyFrom(to_duration(40 * SECOND))
    message.rule.interval.CopyFrom(to_duration(5 * SECOND))
    message.rule.no_data_policy = rule_pb2.MISSING_POLICY_ALERT
    message.rule.missing_series_policy = rule_pb2.MISSING_POLICY_OK
    message.rule.evaluation_mode = rule_pb2.EVALUATION_MODE_INTERVAL
    message.rule.group_by.append("core")
    assert to_spec(message) == RuleSpec(
        "t", "rule_1", "mon_*", ConditionKind.THRESHOLD, 7, "host", "cpu", (TagFilter("core", "0", True),),
        aggregation=Aggregation.AVERAGE, window=MINUTE, operator=Operator.GREATER, low=90.0, tolerance=0.5,
        for_duration=30 * SECOND, keep_firing_for=40 * SECOND, interval=5 * SECOND,
        no_data=MissingPolicy.ALERT, missing_series=MissingPolicy.OK, every_point=False, group_by=("core",),
    )  # fmt: skip


def test_what_is_left_out_gets_the_products_defaults() -> None:
    condition = condition_pb2.Condition()
    condition.range.expression.input.field = "cpu"
    condition.range.low, condition.range.high, condition.range.outside = 1, 2, True
    spec = to_spec(watched(condition))
    assert (spec.kind, spec.low, spec.high, spec.outside) == (ConditionKind.RANGE, 1, 2, True)
    assert (spec.aggregation, spec.window) == (Aggregation.LATEST, LOOK_BACK)
    assert (spec.interval, spec.for_duration, spec.keep_firing_for) == (30 * SECOND, 0, 0)
    assert (spec.no_data, spec.missing_series) == (MissingPolicy.KEEP, MissingPolicy.RESOLVE)
    assert spec.every_point


def expression(**parts: Any) -> RuleSpec:
    left = condition_pb2.Expression(**parts)
    comparison = condition_pb2.Comparison(
        left=left, operator=condition_pb2.COMPARISON_OPERATOR_GREATER, expression=condition_pb2.Expression(number=5)
    )
    return to_spec(watched(condition_pb2.Condition(comparison=comparison)))


def test_every_aggregation_is_taken_with_its_window_and_offset() -> None:
    for aggregation in Aggregation:
        if aggregation is not Aggregation.FORECAST:
            taken = condition_pb2.Input(
                field="cpu", aggregation=int(aggregation),  # type: ignore[arg-type]
                window=to_duration(MINUTE), offset=to_duration(SECOND),
                quantile=0.9,
            )  # fmt: skip
            spec = expression(input=taken)
            assert (spec.function, spec.aggregation) == (Function.VALUE, aggregation)
            assert (spec.window, spec.offset, spec.span) == (MINUTE, SECOND, MINUTE + SECOND)
            assert spec.quantile == (0.9 if aggregation is Aggregation.QUANTILE else 0)


def test_change_age_and_forecast_are_taken() -> None:
    taken = condition_pb2.Input(field="cpu")
    for percent, function in ((False, Function.CHANGE), (True, Function.PERCENT_CHANGE)):
        change = condition_pb2.Change(input=taken, offset=to_duration(MINUTE), percent=percent)
        spec = expression(change=change)
        assert (spec.function, spec.since, spec.aggregation) == (function, MINUTE, Aggregation.LATEST)
        assert spec.span == LOOK_BACK + MINUTE
    assert expression(age=taken).function is Function.AGE
    ahead = condition_pb2.Forecast(input=taken, window=to_duration(MINUTE), ahead=to_duration(2 * MINUTE))
    spec = expression(forecast=ahead)
    assert (spec.function, spec.aggregation) == (Function.VALUE, Aggregation.FORECAST)
    assert (spec.window, spec.ahead) == (MINUTE, 2 * MINUTE)


def test_a_recover_clause_is_another_test_of_the_same_value() -> None:
    message = watched(compared())
    comparison, recover = message.rule.condition.comparison, message.rule.condition.recover
    recover.comparison.CopyFrom(comparison)
    recover.comparison.operator = condition_pb2.COMPARISON_OPERATOR_LESS
    recover.comparison.expression.number = 75
    recover.comparison.tolerance = 0
    assert to_spec(message).recover == bounds(Operator.LESS, 75)
    recover.range.expression.CopyFrom(comparison.left)
    recover.range.low, recover.range.high = 5, 10
    assert to_spec(message).recover == Bounds(5, 10)
    recover.range.expression.input.field = "other"
    with pytest.raises(NotEvaluable, match="same left side"):
        to_spec(message)


def test_absence_needs_no_field() -> None:
    condition = condition_pb2.Condition()
    condition.absence.duration.CopyFrom(to_duration(15 * MINUTE))
    spec = to_spec(watched(condition))
    assert (spec.kind, spec.field, spec.absent_for) == (ConditionKind.ABSENCE, "", 15 * MINUTE)


def of_text(*texts: str, operator: int = condition_pb2.COMPARISON_OPERATOR_EQUAL) -> mesh_pb2.WatchedRule:
    """`status == "…"`, or with IN `status in (…)`."""
    condition = condition_pb2.Condition()
    made = condition.comparison
    made.left.input.field = "status"
    made.operator = operator  # type: ignore[assignment]
    if operator == condition_pb2.COMPARISON_OPERATOR_IN:
        made.texts.values.extend(texts)
    else:
        (made.text,) = texts
    return watched(condition)


IN = condition_pb2.COMPARISON_OPERATOR_IN


@pytest.mark.parametrize(
    ("message", "operator"),
    [
        (of_text("down"), Operator.EQUAL),
        (of_text("down", operator=condition_pb2.COMPARISON_OPERATOR_NOT_EQUAL), Operator.NOT_EQUAL),
        (of_text("down", operator=IN), Operator.EQUAL),
        (of_text("down", "down", operator=IN), Operator.EQUAL),
    ],
)
def test_a_comparison_with_a_text_compares_its_code(message: mesh_pb2.WatchedRule, operator: Operator) -> None:
    spec = to_spec(message)
    assert (spec.kind, spec.operator, spec.low, spec.tolerance) == (
        ConditionKind.THRESHOLD, operator, code_of("down"), 0.0,
    )  # fmt: skip
    assert (spec.of_text, spec.texts) == (True, ("down",))
    assert not to_spec(watched(compared())).of_text


def test_what_ends_an_alert_about_a_text_is_a_text_too() -> None:
    message = of_text("down")
    message.rule.condition.recover.CopyFrom(of_text("up").rule.condition)
    spec = to_spec(message)
    assert spec.recover == bounds(Operator.EQUAL, code_of("up"))
    assert spec.texts == ("down", "up")


def with_recovering_number(message: mesh_pb2.WatchedRule) -> None:
    recover = message.rule.condition.recover
    recover.CopyFrom(watched(compared()).rule.condition)
    recover.comparison.left.CopyFrom(message.rule.condition.comparison.left)


def with_average(message: mesh_pb2.WatchedRule) -> None:
    taken = message.rule.condition.comparison.left.input
    taken.aggregation = condition_pb2.AGGREGATION_AVERAGE
    taken.window.CopyFrom(to_duration(MINUTE))


def with_age(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.age.field = "status"


@pytest.mark.parametrize(
    ("message", "change", "word"),
    [
        (of_text("a", operator=condition_pb2.COMPARISON_OPERATOR_GREATER), None, "=="),
        (of_text("a", operator=99), None, "=="),
        (of_text(operator=IN), None, "empty list"),
        (of_text("a"), with_average, "the newest one"),
        (of_text("a"), with_age, "the newest one"),
        (of_text("a"), with_recovering_number, "with a text"),
    ],
)
def test_what_can_not_be_asked_of_texts_is_refused_with_the_way_out(
    message: mesh_pb2.WatchedRule, change: Callable[[mesh_pb2.WatchedRule], None] | None, word: str
) -> None:
    if change:
        change(message)
    with pytest.raises(NotEvaluable, match=word):
        to_spec(message)


def with_recover(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.recover.SetInParent()


def add_level(
    message: mesh_pb2.WatchedRule, severity: rule_pb2.Severity.ValueType, above: float, below: float | None = None
) -> None:
    """Another level of the same value, with a reset or without."""
    level = message.rule.levels.add(severity=severity, condition=message.rule.condition)
    level.condition.comparison.expression.number = above
    if below is not None:
        level.reset.CopyFrom(message.rule.condition)
        level.reset.comparison.operator = condition_pb2.COMPARISON_OPERATOR_LESS
        level.reset.comparison.expression.number = below


def with_level(message: mesh_pb2.WatchedRule) -> None:
    message.rule.levels.add()


def with_level_twice(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    add_level(message, rule_pb2.SEVERITY_HIGH, 98)


def with_level_of_its_own_severity(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_MEDIUM, 95)


def with_level_of_another_value(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    message.rule.levels[0].condition.comparison.left.input.field = "load"


def with_reset_of_another_value(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95, 90)
    message.rule.levels[0].reset.comparison.left.input.field = "load"


def with_level_and_absence(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    message.rule.condition.Clear()
    message.rule.condition.absence.duration.CopyFrom(to_duration(MINUTE))


def with_level_and_occurrence(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.input.ClearField("aggregation")
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    message.rule.condition.comparison.occurrence.SetInParent()


def with_level_and_text(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.input.ClearField("aggregation")
    message.rule.condition.comparison.text = "down"
    message.rule.condition.comparison.operator = condition_pb2.COMPARISON_OPERATOR_EQUAL
    to_spec(message)
    level = message.rule.levels.add(severity=rule_pb2.SEVERITY_HIGH, condition=message.rule.condition)
    level.condition.comparison.text = "up"


def with_level_of_a_text(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    message.rule.levels[0].condition.comparison.text = "down"


def with_level_and_junction(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    junction = condition_pb2.Junction(
        operator=condition_pb2.JUNCTION_OPERATOR_AND, conditions=[message.rule.condition] * 2
    )
    message.rule.condition.junction.CopyFrom(junction)


def with_level_and_another_field_on_the_right(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    message.rule.condition.comparison.expression.input.field = "load"


def with_level_of_another_field_on_the_right(message: mesh_pb2.WatchedRule) -> None:
    add_level(message, rule_pb2.SEVERITY_HIGH, 95)
    message.rule.levels[0].condition.comparison.expression.input.field = "load"


def with_offset(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.input.offset.CopyFrom(to_duration(-SECOND))


def with_expression(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.forecast.SetInParent()


def with_regular_expression(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.input.filters.add(
        tag="a", operator=condition_pb2.TAG_OPERATOR_MATCH, value="a("
    )


def with_quantile(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.input.aggregation = condition_pb2.AGGREGATION_QUANTILE


def with_text(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.text = "down"


def with_nothing_on_the_right(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.ClearField("expression")


def with_infinity(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.expression.number = math.inf


def with_nothing(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.Clear()


def without_window(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.left.input.ClearField("window")


def with_occurrence(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.comparison.occurrence.SetInParent()


def with_negation(message: mesh_pb2.WatchedRule) -> None:
    message.rule.condition.negation.SetInParent()


@pytest.mark.parametrize(
    "change",
    [
        with_recover, with_level, with_offset, with_expression, with_regular_expression, with_quantile,
        with_text, with_infinity, with_nothing, with_nothing_on_the_right, without_window, with_occurrence,
        with_negation,
        with_level_twice, with_level_of_its_own_severity, with_level_of_another_value, with_reset_of_another_value,
        with_level_and_absence, with_level_and_occurrence, with_level_and_text, with_level_of_a_text,
        with_level_and_junction, with_level_and_another_field_on_the_right, with_level_of_another_field_on_the_right,
    ],
)  # fmt: skip
def test_what_cannot_be_evaluated_is_refused_with_what_can(change: Callable[[mesh_pb2.WatchedRule], None]) -> None:
    message = watched(compared())
    to_spec(message)
    change(message)
    with pytest.raises(NotEvaluable, match="; "):
        to_spec(message)


def test_levels_become_bounds_of_the_rules_value_by_severity() -> None:
    message = watched(compared())
    add_level(message, rule_pb2.SEVERITY_CRITICAL, 98)
    add_level(message, rule_pb2.SEVERITY_LOW, 80, 70)
    message.rule.condition.recover.CopyFrom(compared(operator=condition_pb2.COMPARISON_OPERATOR_LESS))
    spec = to_spec(message)
    assert (spec.severity, spec.low, spec.recover) == (Severity.MEDIUM, 90, bounds(Operator.LESS, 90))
    assert spec.levels == (
        Level(Severity.LOW, bounds(Operator.GREATER, 80), bounds(Operator.LESS, 70)),
        Level(Severity.CRITICAL, bounds(Operator.GREATER, 98)),
    )


def test_levels_are_bounds_of_what_is_computed_of_several_fields() -> None:
    message = watched(compared())
    left = condition_pb2.Expression()
    left.arithmetic.operator = condition_pb2.ARITHMETIC_OPERATOR_ADD
    left.arithmetic.left.input.field, left.arithmetic.right.input.field = "cpu", "load"
    message.rule.condition.comparison.left.CopyFrom(left)
    add_level(message, rule_pb2.SEVERITY_HIGH, 95, 85)
    spec = to_spec(message)
    assert spec.kind is ConditionKind.THRESHOLD
    assert spec.formula is not None
    assert spec.levels == (Level(Severity.HIGH, bounds(Operator.GREATER, 95), bounds(Operator.LESS, 85)),)


def test_a_severity_without_levels_makes_no_difference_to_the_evaluator() -> None:
    message = watched(compared())
    message.rule.severity = rule_pb2.SEVERITY_HIGH
    assert to_spec(message) == to_spec(watched(compared()))


@st.composite
def messages(draw: st.DrawFn, descriptor: Descriptor, depth: int = 0) -> Any:
    """Any message at all of a kind, a few levels deep."""
    made = GetMessageClass(descriptor)()
    for field in draw(st.lists(st.sampled_from(list(descriptor.fields)), max_size=3)) if descriptor.fields else []:
        entry = field.message_type and field.message_type.GetOptions().map_entry
        if entry or (field.message_type and depth > 5):
            continue
        values = draw(st.lists(scalars(field, depth), min_size=1, max_size=1 + field.is_repeated))
        if field.is_repeated:
            getattr(made, field.name).extend(values)
        elif field.message_type:
            getattr(made, field.name).CopyFrom(values[0])
        else:
            setattr(made, field.name, values[0])
    return made


def scalars(field: FieldDescriptor, depth: int) -> st.SearchStrategy[Any]:
    if field.message_type:
        return messages(field.message_type, depth + 1)
    if field.enum_type:
        return st.sampled_from([*field.enum_type.values_by_number, 99])
    numbers = st.integers(0, 2**31 - 1) | st.integers(0, 3)
    by_kind: dict[int, st.SearchStrategy[Any]] = {
        FieldDescriptor.CPPTYPE_STRING: st.text(max_size=3),
        FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
        FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    }
    return by_kind.get(field.cpp_type, numbers)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(messages(rule_pb2.Rule.DESCRIPTOR), messages(condition_pb2.Condition.DESCRIPTOR))
def test_no_rule_at_all_does_more_than_be_refused(rule: rule_pb2.Rule, condition: condition_pb2.Condition) -> None:
    rule.condition.CopyFrom(condition)
    # Whatever isn't refused is a rule; any other error fails the test.
    with suppress(NotEvaluable):
        assert to_spec(mesh_pb2.WatchedRule(tenant_id="t", rule=rule)).interval > 0


def test_a_transition_carries_everything_that_rule_service_needs() -> None:
    key = InstanceKey("t", "rule_1", "m", (("core", "0"), ("os", "x")))
    transition = Transition(key, 7, TransitionKind.RESOLVED, 20, 10, 1.5, "updated", 3)
    lease = mesh_pb2.ShardLease(shard=4, epoch=2)
    assert from_transition(transition, lease) == mesh_pb2.Transition(
        tenant_id="t", rule_id="rule_1", rule_revision=7, monitor_id="m", group={"core": "0", "os": "x"}, episode=10,
        kind=alert_pb2.ALERT_EVENT_KIND_RESOLVED, time_nanos=20, value=1.5, reason="updated", delay_nanos=3,
        lease=lease,
    )  # fmt: skip


def test_a_transition_without_a_value_has_none_and_firing_has_no_reason() -> None:
    transition = Transition(InstanceKey("t", "r", "m", ()), 7, TransitionKind.FIRING, 20, 10, None, "condition", 3)
    message = from_transition(transition, mesh_pb2.ShardLease())
    assert not message.HasField("value")
    assert message.reason == ""
    assert message.kind == alert_pb2.ALERT_EVENT_KIND_FIRING


def test_a_change_of_level_carries_the_severity() -> None:
    key = InstanceKey("t", "r", "m", ())
    transition = Transition(key, 7, TransitionKind.SEVERITY_CHANGED, 20, 10, 99.0, "condition", 0, 4)
    message = from_transition(transition, mesh_pb2.ShardLease())
    assert message.kind == alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED
    assert message.severity == rule_pb2.SEVERITY_CRITICAL


def test_an_open_episode_names_its_instance_with_sorted_tags() -> None:
    message = mesh_pb2.OpenEpisode(
        tenant_id="t", rule_id="r", monitor_id="m", group={"os": "x", "core": "0"}, episode=5, fire_time_nanos=6
    )
    episode = to_open_episode(message)
    assert episode.key == InstanceKey("t", "r", "m", (("core", "0"), ("os", "x")))
    assert (episode.episode, episode.fired_at, episode.changed_at) == (5, 6, 6)
    message.severity, message.severity_time_nanos = rule_pb2.SEVERITY_HIGH, 9
    assert (to_open_episode(message).level, to_open_episode(message).changed_at) == (3, 9)


def test_a_monitors_shard_is_the_checksum_of_tenant_and_monitor() -> None:
    assert shard_of("acme", "mon_host") == zlib.crc32(b"acme\0mon_host") % 256
