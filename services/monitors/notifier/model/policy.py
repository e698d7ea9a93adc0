"""A tenant's policy: all that it has set of who is told of its alerts, and when."""

from dataclasses import dataclass

from monitors.notifier.model.escalation import EscalationPolicy
from monitors.notifier.model.muting import Muting
from monitors.notifier.model.routes import Route


@dataclass(frozen=True)
class Policy:
    """What mutes alerts; the routes, and the escalation policies, each in their order."""

    mutings: tuple[Muting, ...] = ()
    routes: tuple[Route, ...] = ()
    escalations: tuple[EscalationPolicy, ...] = ()
