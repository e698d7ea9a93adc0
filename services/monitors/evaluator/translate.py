"""Between the contract's messages and the model's values."""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from sys import intern
from typing import Any

from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.reading import LOOK_BACK, Aggregation, Function, Occurrence, TagFilter, Tags
from monitors.evaluator.model.spec import ConditionKind, InstanceKey, MissingPolicy, RuleSpec
from monitors.evaluator.model.state import OpenEpisode
from monitors.evaluator.model.texts import code_of
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
_EQUALITIES = {int(one): one for one in (Operator.EQUAL, Operator.NOT_EQUAL)}
_MEMBERSHIP = {int(condition_pb2.COMPARISON_OPERATOR_IN): Operator.EQUAL}
_PICKING = (Aggregation.LATEST, Aggregation.FIRST)
"""What takes one of the window's points as it is, which can be a text."""
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
}


class NotEvaluable(Exception):
    """A rule asks for what this evaluator can't do. The message says what, and what can be said instead."""


def to_tags(group: Mapping[str, str]) -> Tags:
    """A group as sorted pairs."""
    return tuple(sorted(group.items()))


def to_spec(watched: mesh_pb2.WatchedRule) -> RuleSpec:
    """A rule for the model. Raises NotEvaluable."""
    rule = watched.rule
    condition = rule.condition
    if rule.levels:
        raise NotEvaluable("levels can't be evaluated yet; make one rule for each severity")
    kind = condition.WhichOneof("kind")
    translate = _CONDITIONS.get(kind)
    if translate is None:
        raise _not_evaluable(kind)
    found, group_by = translate(condition), rule.group_by
    if condition.HasField("recover"):
        found |= _recover(condition, found)
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
        **found,
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
    if "of_text" in found and (found["aggregation"] not in _PICKING or "function" in found):
        raise NotEvaluable('nothing can be computed of texts; compare the newest one, such as `status == "down"`')
    if comparison.HasField("occurrence"):
        if found["aggregation"] is not Aggregation.LATEST or "function" in found:
            raise NotEvaluable("points that are counted can't be aggregated as well; compare the field itself")
        found["occurrence"] = Occurrence(comparison.occurrence.at_least, comparison.occurrence.of_last)
    return found


def _threshold(comparison: condition_pb2.Comparison) -> dict[str, Any]:
    if comparison.WhichOneof("right") in ("text", "texts"):
        return _equality(comparison)
    operator = _OPERATORS.get(comparison.operator)
    if operator is None:
        raise NotEvaluable("this comparison can't be evaluated yet; use one of > >= < <= == !=")
    right = comparison.expression
    if right.WhichOneof("kind") != "number":
        raise NotEvaluable("only a comparison with a number can be evaluated yet; put a number on the right")
    return {"operator": operator, "low": _finite(right.number), "tolerance": _finite(comparison.tolerance)}


def _equality(comparison: condition_pb2.Comparison) -> dict[str, Any]:
    """What a text must be, or mustn't, as a comparison of its code."""
    if comparison.HasField("texts"):
        texts, operators = tuple(dict.fromkeys(comparison.texts.values)), _MEMBERSHIP
    else:
        texts, operators = (comparison.text,), _EQUALITIES
    operator = operators.get(comparison.operator)
    if operator is None:
        raise NotEvaluable("a text is equal or it isn't; compare it with ==, != or `in` and a list of texts")
    if not texts:
        raise NotEvaluable("no text is in an empty list; name one at least")
    if len(texts) > 1:
        raise NotEvaluable("several texts can't be evaluated yet; compare with one of them")
    return {"operator": operator, "low": code_of(texts[0]), "of_text": True, "texts": texts}


def _range(condition: condition_pb2.Condition) -> dict[str, Any]:
    within = condition.range
    return {
        "kind": ConditionKind.RANGE,
        "low": _finite(within.low),
        "high": _finite(within.high),
        "outside": within.outside,
        **_expression(within.expression),
    }


def _recover(condition: condition_pb2.Condition, found: dict[str, Any]) -> dict[str, Any]:
    """What ends an alert: another test of the same value. `found` is what the condition itself says."""
    recover = condition.recover
    if recover.HasField("recover"):
        raise NotEvaluable("a recover clause can't have one of its own; leave that out")
    if recover.HasField("range"):
        looks_at, test = recover.range.expression, dict[str, Any]()
        ends = Bounds(_finite(recover.range.low), _finite(recover.range.high), recover.range.outside)
    elif recover.HasField("comparison"):
        looks_at, test = recover.comparison.left, _threshold(recover.comparison)
        ends = bounds(test["operator"], test["low"], test.get("tolerance", 0.0))
    else:
        raise NotEvaluable("a recover clause must compare a value; say for example `recover < 75`")
    if looks_at != _left(condition):
        raise NotEvaluable("a recover clause must look at the condition's own value; give both the same left side")
    if test.get("of_text") is not found.get("of_text"):
        raise NotEvaluable("a recover clause must compare with a text where the condition does, and only there")
    return {"recover": ends, "texts": found.get("texts", ()) + test.get("texts", ())}


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
    message.delay_nanos = transition.delay
    message.lease.CopyFrom(lease)
    return message


def to_open_episode(episode: mesh_pb2.OpenEpisode) -> OpenEpisode:
    """An open episode for the model."""
    key = InstanceKey(episode.tenant_id, episode.rule_id, episode.monitor_id, to_tags(episode.group))
    return OpenEpisode(key, episode.episode, episode.fire_time_nanos)
