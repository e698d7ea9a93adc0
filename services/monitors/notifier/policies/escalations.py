"""Escalation policies between the contract's messages and the model."""

from collections.abc import Iterable
from typing import Any

from monitors.mesh.database import Session
from monitors.mesh.times import from_duration, to_duration
from monitors.notifier.matchers import from_matchers, read_matchers
from monitors.notifier.model.escalation import EscalationPolicy, Step, check
from monitors.notifier.policies.kinds import Kind, Making, Part
from monitors.notifier.store import escalations
from monitors.notifier.store.escalation_policies import ROWS, check_channels
from monitors.v1 import notification_pb2 as pb


def _make(making: Making, parts: dict[str, Any]) -> EscalationPolicy:
    return EscalationPolicy(making.tenant, making.id, **parts, create_time=making.now)


def _show(policy: EscalationPolicy) -> pb.EscalationPolicy:
    return pb.EscalationPolicy(
        id=policy.id,
        name=policy.name,
        position=policy.position,
        matchers=from_matchers(policy.matchers),
        steps=[pb.EscalationStep(after=to_duration(step.after), channels=step.channels) for step in policy.steps],
        etag=policy.etag,
    )


def _read_steps(sent: Iterable[pb.EscalationStep]) -> tuple[Step, ...]:
    return tuple([Step(from_duration(one.after), tuple(dict.fromkeys(one.channels))) for one in sent])


def _follow(session: Session, policy: EscalationPolicy, now: int) -> None:
    escalations.follow_policy(session, policy.tenant, policy.id, now)


PARTS = {
    "name": Part("name", lambda sent: sent.name),
    "position": Part("position", lambda sent: sent.position),
    "matchers": Part("matchers", lambda sent: read_matchers(sent.matchers, "escalation_policy.matchers")),
    "steps": Part("steps", lambda sent: _read_steps(sent.steps)),
}
ESCALATIONS = Kind("esc", ROWS, PARTS, _make, check, _show, check_within=check_channels, follow=_follow)
