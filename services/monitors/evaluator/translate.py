"""Between the contract's messages and the model's values."""

import math
from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.spec import (
    LOOK_BACK,
    Aggregation,
    ConditionKind,
    InstanceKey,
    MissingPolicy,
    Operator,
    RuleSpec,
    TagFilter,
    Tags,
)
from monitors.evaluator.model.state import OpenEpisode
from monitors.mesh.times import SECOND, from_duration
from monitors.v1 import alert_pb2, condition_pb2, mesh_pb2, rule_pb2

DEFAULT_INTERVAL = 30 * SECOND
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
    if rule.levels:
        raise NotEvaluable("levels can't be evaluated yet; make one rule for each severity")
    if rule.condition.HasField("recover"):
        raise NotEvaluable("a recover clause can't be evaluated yet; leave it out, or use keep_firing_for")
    interval = from_duration(rule.interval) or DEFAULT_INTERVAL
    return RuleSpec(
        tenant=watched.tenant_id,
        rule_id=rule.id,
        revision=watched.revision,
        monitor=rule.monitor_id,
        for_duration=from_duration(rule.for_duration),
        keep_firing_for=from_duration(rule.keep_firing_for),
        interval=max(interval, 1),
        no_data=_policy(rule.no_data_policy, MissingPolicy.KEEP),
        missing_series=_policy(rule.missing_series_policy, MissingPolicy.RESOLVE),
        every_point=rule.evaluation_mode != rule_pb2.EVALUATION_MODE_INTERVAL,
        group_by=tuple(sorted(rule.group_by)),
        **_condition(rule.condition),
    )


def _policy(policy: int, default: MissingPolicy) -> MissingPolicy:
    return MissingPolicy(policy) if policy in _numbers(MissingPolicy) else default


def _numbers(kind: type[IntEnum]) -> set[int]:
    return {int(one) for one in kind}


def _condition(condition: condition_pb2.Condition) -> dict[str, Any]:
    match condition.WhichOneof("kind"):
        case "comparison":
            return _comparison(condition.comparison)
        case "range":
            return _range(condition.range)
        case "absence":
            return _absence(condition.absence)
        case None:
            raise NotEvaluable("the rule has no condition; give it one, such as `cpu_percent > 90`")
        case kind:
            raise NotEvaluable(
                f"a {kind} can't be evaluated yet; compare one field with a number or a range, or ask for absence"
            )


def _comparison(comparison: condition_pb2.Comparison) -> dict[str, Any]:
    if comparison.HasField("occurrence"):
        raise NotEvaluable("counting points can't be evaluated yet; aggregate them instead, such as `avg(x, 5m) > 1`")
    if int(comparison.operator) not in _numbers(Operator):
        raise NotEvaluable("this comparison can't be evaluated yet; use one of > >= < <= == !=")
    if comparison.WhichOneof("right") != "expression" or comparison.expression.WhichOneof("kind") != "number":
        raise NotEvaluable("only a comparison with a number can be evaluated yet; put a number on the right")
    return {
        "kind": ConditionKind.THRESHOLD,
        "operator": Operator(comparison.operator),
        "low": _finite(comparison.expression.number),
        "tolerance": _finite(comparison.tolerance),
        **_expression(comparison.left),
    }


def _range(condition: condition_pb2.Range) -> dict[str, Any]:
    return {
        "kind": ConditionKind.RANGE,
        "low": _finite(condition.low),
        "high": _finite(condition.high),
        "outside": condition.outside,
        **_expression(condition.expression),
    }


def _absence(absence: condition_pb2.Absence) -> dict[str, Any]:
    if absence.expected:
        raise NotEvaluable("expected tag sets can't be evaluated yet; leave them out")
    duration = from_duration(absence.duration)
    if duration < SECOND:
        raise NotEvaluable("absence takes at least one second; say for example `no data for 15m`")
    return {
        "kind": ConditionKind.ABSENCE,
        "measurement": absence.input.measurement,
        "field": absence.input.field,
        "filters": _filters(absence.input),
        "absent_for": duration,
    }


def _expression(expression: condition_pb2.Expression) -> dict[str, Any]:
    if expression.WhichOneof("kind") != "input":
        raise NotEvaluable(
            "this expression can't be evaluated yet; compare one field, or its aggregate, such as `avg(x, 5m)`"
        )
    taken = expression.input
    if taken.HasField("offset") and from_duration(taken.offset):
        raise NotEvaluable("an offset can't be evaluated yet; leave it out")
    aggregation = int(taken.aggregation) or int(Aggregation.LATEST)
    if aggregation not in _numbers(Aggregation):
        raise NotEvaluable("this aggregation can't be evaluated yet; use latest, avg, min, max, sum or count")
    window = from_duration(taken.window)
    if not window and aggregation != Aggregation.LATEST:
        raise NotEvaluable("an aggregate needs a window; give it one, such as the 5m of `avg(x, 5m)`")
    return {
        "measurement": taken.measurement,
        "field": taken.field,
        "filters": _filters(taken),
        "aggregation": Aggregation(aggregation),
        "window": window or LOOK_BACK,
    }


def _filters(taken: condition_pb2.Input) -> tuple[TagFilter, ...]:
    plain = (condition_pb2.TAG_OPERATOR_EQUAL, condition_pb2.TAG_OPERATOR_NOT_EQUAL)
    if any(one.operator not in plain for one in taken.filters):
        raise NotEvaluable("a regular expression can't be evaluated yet; compare the tag with = or !=")
    return tuple(
        TagFilter(one.tag, one.value, negated=one.operator == condition_pb2.TAG_OPERATOR_NOT_EQUAL)
        for one in taken.filters
    )


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise NotEvaluable(f"{number} can't be compared with; use a finite number")
    return number


def from_transition(transition: Transition, lease: mesh_pb2.ShardLease) -> mesh_pb2.Transition:
    """A transition as RecordTransitions takes it, under the lease of its monitor's shard."""
    key = transition.key
    return mesh_pb2.Transition(
        tenant_id=key.tenant,
        rule_id=key.rule_id,
        rule_revision=transition.revision,
        monitor_id=key.monitor,
        group=dict(key.tags),
        episode=transition.episode,
        kind=_KINDS[transition.kind],
        time_nanos=transition.time,
        value=transition.value,
        reason=transition.reason if transition.kind is TransitionKind.RESOLVED else "",
        delay_nanos=transition.delay,
        lease=lease,
    )


def to_open_episode(episode: mesh_pb2.OpenEpisode) -> OpenEpisode:
    """An open episode for the model."""
    key = InstanceKey(episode.tenant_id, episode.rule_id, episode.monitor_id, to_tags(episode.group))
    return OpenEpisode(key, episode.episode, episode.fire_time_nanos)
