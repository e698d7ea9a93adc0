"""Inhibitions between the contract's messages and the model."""

from functools import partial
from typing import Any

from monitors.mesh.database import Session
from monitors.notifier.matchers import from_matchers, read_matchers
from monitors.notifier.model.inhibitions import Inhibition, check, rest
from monitors.notifier.policies.kinds import Kind, Making, Part
from monitors.notifier.store.inhibiting import find_sources
from monitors.notifier.store.inhibitions import ROWS
from monitors.notifier.translate import repeat_of
from monitors.v1 import notification_pb2 as pb

PARTS = {
    "name": Part("name", lambda sent: sent.name),
    "source_matchers": Part("sources", lambda sent: read_matchers(sent.source_matchers, "inhibition.source_matchers")),
    "target_matchers": Part("targets", lambda sent: read_matchers(sent.target_matchers, "inhibition.target_matchers")),
    "equal": Part("equal", lambda sent: tuple(dict.fromkeys(sent.equal))),
    "enabled": Part("enabled", lambda sent: sent.enabled if sent.HasField("enabled") else True),
}


def _make(making: Making, parts: dict[str, Any]) -> Inhibition:
    return Inhibition(making.tenant, making.id, **parts, create_time=making.now)


def _show(inhibition: Inhibition) -> pb.Inhibition:
    return pb.Inhibition(
        id=inhibition.id,
        name=inhibition.name,
        source_matchers=from_matchers(inhibition.sources),
        target_matchers=from_matchers(inhibition.targets),
        equal=inhibition.equal,
        enabled=inhibition.enabled,
        etag=inhibition.etag,
    )


def _find_sources(session: Session, inhibition: Inhibition, now: int) -> None:
    find_sources(session, inhibition, partial(repeat_of, now))


INHIBITIONS = Kind("inh", ROWS, PARTS, _make, check, _show, rest=rest, begin=_find_sources)
