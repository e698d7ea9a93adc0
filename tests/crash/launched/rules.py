"""RuleService: shorter waits, and points to die at."""

from collections.abc import Callable, Mapping

from monitors.mesh.times import SECOND
from monitors.rules.service import pump
from monitors.rules.service.alerts import AlertCalls
from monitors.rules.service.evaluators import EvaluatorCalls
from monitors.rules.service.notifications import NotifierCalls
from monitors.rules.service.rules import RuleCalls
from monitors.rules.store import outbox
from tests.crash.failpoints import after_awaiting, before


def scale_down() -> None:
    """A lease that ends within a short run."""
    outbox.LEASE = 6 * SECOND


POINTS = {
    "rules is about to put alerts into the outbox": before(outbox, "insert_waiting"),
    "rules has recorded and not answered": after_awaiting(EvaluatorCalls, "RecordTransitions"),
    "rules has leased messages and not sent them": before(pump.Pump, "_message"),
    "rules has given messages away and not answered": after_awaiting(NotifierCalls, "AcknowledgeNotifications"),
    "rules has made a rule and not answered": after_awaiting(RuleCalls, "CreateRule"),
    "rules has acknowledged an alert and not answered": after_awaiting(AlertCalls, "AcknowledgeAlerts"),
}
BREAKS: Mapping[str, Callable[[], None]] = {}
