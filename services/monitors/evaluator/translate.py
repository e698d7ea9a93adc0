"""Between the contract's messages and the model's values."""

from collections.abc import Mapping
from sys import intern

from monitors.evaluator.conditions import fields_of, levels_of
from monitors.evaluator.model.arrays import UNSET
from monitors.evaluator.model.machine import Transition, TransitionKind
from monitors.evaluator.model.reading import Tags
from monitors.evaluator.model.spec import InstanceKey, MissingPolicy, RuleSpec
from monitors.evaluator.model.state import OpenEpisode
from monitors.mesh.times import SECOND, from_duration, from_timestamp
from monitors.v1 import alert_pb2, mesh_pb2, rule_pb2

DEFAULT_INTERVAL = 30 * SECOND
_POLICIES = {int(one): one for one in MissingPolicy}
_KINDS = {
    TransitionKind.FIRING: alert_pb2.ALERT_EVENT_KIND_FIRING,
    TransitionKind.RESOLVED: alert_pb2.ALERT_EVENT_KIND_RESOLVED,
    TransitionKind.SEVERITY_CHANGED: alert_pb2.ALERT_EVENT_KIND_SEVERITY_CHANGED,
}


def to_tags(group: Mapping[str, str]) -> Tags:
    """A group as sorted pairs."""
    return tuple(sorted(group.items()))


def to_spec(watched: mesh_pb2.WatchedRule, made_at: int | None = None) -> RuleSpec:
    """A rule for the model, as if made at that time in nanoseconds, if one is given. Raises NotEvaluable."""
    rule = watched.rule
    since = from_timestamp(rule.create_time) if made_at is None else made_at
    found, group_by = fields_of(rule.condition, since / SECOND), rule.group_by
    if rule.levels:
        found |= levels_of(rule, found)
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
    if transition.traceparent:
        message.traceparent = transition.traceparent
    message.lease.CopyFrom(lease)
    return message


def to_open_episode(episode: mesh_pb2.OpenEpisode) -> OpenEpisode:
    """An open episode for the model."""
    key = InstanceKey(episode.tenant_id, episode.rule_id, episode.monitor_id, to_tags(episode.group))
    leveled_at = episode.severity_time_nanos or UNSET
    return OpenEpisode(key, episode.episode, episode.fire_time_nanos, int(episode.severity), leveled_at)
