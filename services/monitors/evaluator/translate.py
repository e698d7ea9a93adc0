"""Between the contract's messages and the model's values."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from sys import intern
from typing import Any

from monitors.evaluator.model.arrays import UNSET
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.spec import (
    LOOK_BACK,
    Aggregation,
    Bounds,
    ConditionKind,
    Function,
    InstanceKey,
    Level,
    MissingPolicy,
    Occurrence,
    Operator,
    RuleSpec,
    Severity,
    TagFilter,
    Tags,
    bounds,
)
from monitors.evaluator.model.state import OpenEpisode
from monitors.mesh.patterns import InvalidPattern, check_pattern
from monitors.mesh.times import SECOND, from_duration
from monitors.v1 import alert_pb2, condition_pb2, mesh_pb2, rule_pb2

DEFAULT_INTERVAL = 30 * SECOND
_OPERATORS = {int(one): one for one in Operator}
_POLICIES = {int(one): one for one in MissingPolicy}
_AGGREGATIONS = {
    condition_pb2.AGGREGATION_UNSPECIFIED: Aggregation.LATEST,
    **{int(one): one for one in Aggregation if one is not Aggregation.FORECAST},
}
_TAG_OPERATORS = {
    condition_pb2.TAG_OPERATOR_EQUAL: (False, False),
    condition_pb2.TAG_OPERATOR_NOT_EQUAL: (True, False),
    condition_pb2.TAG_OPERATOR_MATCH: (False, True),
    condition_pb2.TAG_OPERATOR_NOT_MATCH: (True, True),
}
"""Whether each is negated, and whether its value is a regular expression."""
_KINDS = {
    TransitionKind.FIRING: alert_pb2.ALERT_EVENT_KIND_FIRING,
    TransitionKind.RESOLVED: alert_pb2.ALERT_EVENT_KIND_RESOLVED,
    TransitionKind.SEVERITY_CHANGED: alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED,
}
_SEVERITIES = {int(one): one for one in Severity}


class NotEvaluable(Exception):
    """A rule asks for what this evaluator can't do. The message says what, and what can be said instead."""


def to_tags(group: Mapping[str, str]) -> Tags:
    """A group as sorted pairs."""
    return tuple(sorted(group.items()))


def to_spec(watched: mesh_pb2.WatchedRule) -> RuleSpec:
    """A rule for the model. Raises NotEvaluable."""
    rule = watched.rule
    condition = rule.condition
    kind = condition.WhichOneof("kind")
    translate = _CONDITIONS.get(kind)
    if translate is None:
        raise _not_evaluable(kind)
    group_by = rule.group_by
    return RuleSpec(
        tenant=intern(watched.tenant_id),
        rule_id=rule.id,
        revision=watched.revision,
        monitor=rule.monitor_id,
        for_duration=from_duration(rule.for_duration),
        keep_firing_for=from_duration(rule.keep_firing_for),
        interval=max(from_duration(rule.interval), 0) or DEFAULT_INTERVAL,
        no_data=_POLICIES.get(rule.no_data_policy, MissingPolicy.KEEP),
        missing_series=_POLICIES.get(rule.missing_series_policy, MissingPolicy.RESOLVE),
        every_point=rule.evaluation_mode != rule_pb2.EVALUATION_MODE_INTERVAL,
        group_by=tuple(sorted(group_by)) if group_by else (),
        recover=_bounds(condition.recover, condition, "a recover clause") if condition.HasField("recover") else None,
        **translate(condition),
        **(_levels(rule) if rule.levels else {}),
    )


def _not_evaluable(kind: str | None) -> NotEvaluable:
    if kind is None:
        return NotEvaluable("the rule has no condition; give it one, such as `cpu_percent > 90`")
    return NotEvaluable(
        f"a {kind} can't be evaluated yet; compare one field with a number or a range, or ask for absence"
    )


def _comparison(condition: condition_pb2.Condition) -> dict[str, Any]:
    comparison = condition.comparison
    found = {"kind": ConditionKind.THRESHOLD, **_threshold(comparison), **_expression(comparison.left)}
    if comparison.HasField("occurrence"):
        if found["aggregation"] is not Aggregation.LATEST or "function" in found:
            raise NotEvaluable("points that are counted can't be aggregated as well; compare the field itself")
        found["occurrence"] = Occurrence(comparison.occurrence.at_least, comparison.occurrence.of_last)
    return found


def _threshold(comparison: condition_pb2.Comparison) -> dict[str, Any]:
    operator = _OPERATORS.get(comparison.operator)
    if operator is None:
        raise NotEvaluable("this comparison can't be evaluated yet; use one of > >= < <= == !=")
    right = comparison.expression
    if right.WhichOneof("kind") != "number":
        raise NotEvaluable("only a comparison with a number can be evaluated yet; put a number on the right")
    return {"operator": operator, "low": _finite(right.number), "tolerance": _finite(comparison.tolerance)}


def _range(condition: condition_pb2.Condition) -> dict[str, Any]:
    within = condition.range
    return {
        "kind": ConditionKind.RANGE,
        "low": _finite(within.low),
        "high": _finite(within.high),
        "outside": within.outside,
        **_expression(within.expression),
    }


def _levels(rule: rule_pb2.Rule) -> dict[str, Any]:
    condition, own = rule.condition, _SEVERITIES.get(rule.severity, Severity.MEDIUM)
    if _left(condition) is None or condition.comparison.HasField("occurrence"):
        raise NotEvaluable(
            "levels need a condition that compares one value with a number or a range; make one rule for each severity"
        )
    found: list[Level] = []
    for one in rule.levels:
        severity = _SEVERITIES.get(one.severity)
        if severity is None or severity in (own, *(level.severity for level in found)):
            raise NotEvaluable(
                "each level needs a severity of its own, other than the rule's; use low, medium, high or critical once"
            )
        what = f"the level {severity.name.lower()}"
        reset = _bounds(one.reset, condition, f"the reset of {what}") if one.HasField("reset") else None
        found.append(Level(severity, _bounds(one.condition, condition, what), reset))
    # In one order, so that rules that say the same share their profile.
    return {"severity": own, "levels": tuple(sorted(found, key=lambda level: level.severity))}


def _bounds(test: condition_pb2.Condition, condition: condition_pb2.Condition, what: str) -> Bounds:
    """Another test of the value that a condition looks at."""
    if test.HasField("recover") or test.comparison.HasField("occurrence"):
        raise NotEvaluable(f"{what} is one test and has no further clause; leave that out")
    if test.HasField("range"):
        looks_at = test.range.expression
        found = Bounds(_finite(test.range.low), _finite(test.range.high), test.range.outside)
    elif test.HasField("comparison"):
        looks_at, threshold = test.comparison.left, _threshold(test.comparison)
        found = bounds(threshold["operator"], threshold["low"], threshold["tolerance"])
    else:
        raise NotEvaluable(f"{what} must compare a value with a number or a range; say for example `< 75`")
    if looks_at != _left(condition):
        raise NotEvaluable(f"{what} must look at the condition's own value; give both the same left side")
    return found


def _left(condition: condition_pb2.Condition) -> condition_pb2.Expression | None:
    if condition.HasField("range"):
        return condition.range.expression
    return condition.comparison.left if condition.HasField("comparison") else None


def _absence(condition: condition_pb2.Condition) -> dict[str, Any]:
    absence = condition.absence
    if absence.expected:
        raise NotEvaluable("expected tag sets can't be evaluated yet; leave them out")
    duration = from_duration(absence.duration)
    if duration < SECOND:
        raise NotEvaluable("absence takes at least one second; say for example `no data for 15m`")
    return {
        "kind": ConditionKind.ABSENCE,
        "measurement": intern(absence.input.measurement),
        "field": intern(absence.input.field),
        "filters": _filters(absence.input),
        "absent_for": duration,
    }


_CONDITIONS: Mapping[str | None, Callable[[condition_pb2.Condition], dict[str, Any]]] = {
    "comparison": _comparison,
    "range": _range,
    "absence": _absence,
}


def _expression(expression: condition_pb2.Expression) -> dict[str, Any]:
    return _measured(expression.SerializeToString())


@lru_cache(maxsize=4096)
def _measured(serialised: bytes) -> dict[str, Any]:
    """What an Expression says. A million rules ask for few different ones: each is read once, and its parts are
    shared."""
    expression = condition_pb2.Expression.FromString(serialised)
    match expression.WhichOneof("kind"):
        case "input":
            return _input(expression.input)
        case "age":
            return {"function": Function.AGE, **_input(expression.age)}
        case "change":
            change = expression.change
            function = Function.PERCENT_CHANGE if change.percent else Function.CHANGE
            since = from_duration(change.offset)
            if since <= 0:
                raise NotEvaluable("a change needs to know since when; say for example `change(x, 1h)`")
            return {"function": function, "since": since, **_input(change.input)}
        case "forecast":
            forecast = expression.forecast
            window, ahead = from_duration(forecast.window), from_duration(forecast.ahead)
            if window <= 0 or ahead < 0:
                raise NotEvaluable(
                    "a forecast needs a window and how far to look; say for example `forecast(x, 6h, 4h)`"
                )
            return {**_target(forecast.input), "aggregation": Aggregation.FORECAST, "window": window, "ahead": ahead}
    raise NotEvaluable(
        "this expression can't be evaluated yet; compare one field, or its aggregate, such as `avg(x, 5m)`"
    )


def _target(taken: condition_pb2.Input) -> dict[str, Any]:
    offset = from_duration(taken.offset)
    if offset < 0:
        raise NotEvaluable("an offset reaches into the past; say how long ago, such as `offset 1d`")
    return {
        "measurement": intern(taken.measurement),
        "field": intern(taken.field),
        "filters": _filters(taken),
        "offset": offset,
    }


def _input(taken: condition_pb2.Input) -> dict[str, Any]:
    aggregation = _AGGREGATIONS.get(taken.aggregation)
    if aggregation is None:
        raise NotEvaluable("this aggregation is unknown; use for example latest, avg, min, max, sum, count or rate")
    window = from_duration(taken.window)
    if not window and aggregation != Aggregation.LATEST:
        raise NotEvaluable("an aggregate needs a window; give it one, such as the 5m of `avg(x, 5m)`")
    if aggregation == Aggregation.QUANTILE and not 0 < taken.quantile < 1:
        raise NotEvaluable("a quantile lies between 0 and 1; give it, such as the 0.95 of `quantile(0.95, x, 5m)`")
    return {
        **_target(taken),
        "aggregation": aggregation,
        "window": window or LOOK_BACK,
        "quantile": taken.quantile if aggregation == Aggregation.QUANTILE else 0.0,
    }


def _filters(taken: condition_pb2.Input) -> tuple[TagFilter, ...]:
    found = []
    for one in taken.filters:
        kind = _TAG_OPERATORS.get(one.operator)
        if kind is None:
            raise NotEvaluable("a tag filter says nothing; compare the tag with =, !=, =~ or !~")
        negated, pattern = kind
        if pattern:
            try:
                check_pattern(one.value)
            except InvalidPattern as error:
                raise NotEvaluable(
                    f"{one.value[:60]!r} isn't a regular expression ({error}); write RE2's syntax"
                ) from None
        found.append(TagFilter(one.tag, one.value, negated, pattern))
    return tuple(found)


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise NotEvaluable(f"{number} can't be compared with; use a finite number")
    return number


def from_transition(transition: Transition, lease: mesh_pb2.ShardLease) -> mesh_pb2.Transition:
    """A transition as RecordTransitions takes it, under the lease of its monitor's shard."""
    key = transition.key
    message = mesh_pb2.Transition()
    # Field by field: to construct it with its fields takes three times as long.
    message.tenant_id = key.tenant
    message.rule_id = key.rule_id
    message.rule_revision = transition.revision
    message.monitor_id = key.monitor
    group = message.group
    for name, value in key.tags:
        group[name] = value
    message.episode = transition.episode
    message.kind = _KINDS[transition.kind]
    message.time_nanos = transition.time
    if transition.value is not None:
        message.value = transition.value
    if transition.kind is TransitionKind.RESOLVED:
        message.reason = transition.reason
    if transition.level:
        message.severity = rule_pb2.Severity.ValueType(transition.level)
    message.delay_nanos = transition.delay
    message.lease.CopyFrom(lease)
    return message


def to_open_episode(episode: mesh_pb2.OpenEpisode) -> OpenEpisode:
    """An open episode for the model."""
    key = InstanceKey(episode.tenant_id, episode.rule_id, episode.monitor_id, to_tags(episode.group))
    leveled_at = episode.severity_time_nanos or UNSET
    return OpenEpisode(key, episode.episode, episode.fire_time_nanos, int(episode.severity), leveled_at)
