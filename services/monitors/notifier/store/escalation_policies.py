"""Escalation policies as they are remembered."""

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitors.mesh.errors import InvalidFields, UnknownChannel, WrongState
from monitors.mesh.rows import Row
from monitors.notifier.model.escalation import MOST, EscalationPolicy, Step
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.policies import PlacedRows
from monitors.notifier.store.tables import ChannelRow, escalation_policies


def check_channels(session: Session, policy: EscalationPolicy) -> None:
    """Raises UnknownChannel if it tells one that there isn't. Until the transaction ends none of them is deleted."""
    names = select(ChannelRow.name).where(ChannelRow.tenant_id == policy.tenant, ChannelRow.name.in_(policy.channels))
    present = set(session.scalars(names.with_for_update(read=True)))
    fix = "make it first, or name one that `monitors channels list` shows"
    errors = [
        UnknownChannel(f"escalation_policy.steps[{number}].channels", f"there is no channel {name[:80]!r}; {fix}")
        for number, step in enumerate(policy.steps)
        for name in step.channels
        if name not in present
    ]
    if errors:
        raise InvalidFields.of(errors)


def check_unnamed(session: Session, tenant: str, channel: str) -> None:
    """Raises WrongState if policies tell a channel, for nobody would be told in its stead."""
    naming = [repr(policy.name) for policy in ROWS.all_of(session, tenant) if channel in policy.channels]
    if naming:
        which = "policy" if len(naming) == 1 else "policies"
        raise WrongState(
            f"channel_id: the escalation {which} {', '.join(naming[:5])} would tell the channel {channel!r}; let "
            "another one be told, or delete them, first"
        )


def _write(policy: EscalationPolicy) -> dict[str, Any]:
    return {
        "position": policy.position,
        "matchers": write_matchers(policy.matchers),
        "steps": json.dumps([[step.after, list(step.channels)] for step in policy.steps]),
    }


def _read(row: Row, common: dict[str, Any]) -> EscalationPolicy:
    steps = tuple([Step(after, tuple(channels)) for after, channels in json.loads(row.steps)])
    return EscalationPolicy(**common, position=row.position, matchers=read_matchers(row.matchers), steps=steps)


ROWS = PlacedRows(EscalationPolicy, escalation_policies, MOST, "ListEscalationPolicies", _write, _read)
