"""A tenant's policy: all that it has set of who is told of its alerts, and when."""

from dataclasses import dataclass

from monitors.notifier.model.escalation import EscalationPolicy
from monitors.notifier.model.inhibitions import Inhibition
from monitors.notifier.model.muting import Muting
from monitors.notifier.model.routes import Route


@dataclass(frozen=True)
class Policy:
    """What mutes alerts, by itself or while others fire; routes, and escalation policies, each in their order."""

    mutings: tuple[Muting, ...] = ()
    inhibitions: tuple[Inhibition, ...] = ()
    """Those that are turned on."""
    routes: tuple[Route, ...] = ()
    escalations: tuple[EscalationPolicy, ...] = ()
