"""RuleService: from a request to the model and the store, and back."""

from monitors.rules.service.alerts import AlertCalls
from monitors.rules.service.base import Core
from monitors.rules.service.evaluators import EvaluatorCalls
from monitors.rules.service.monitors import MonitorCalls
from monitors.rules.service.notifications import NotifierCalls
from monitors.rules.service.rules import RuleCalls
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer

__all__ = ["Core", "RuleService"]


# The parts come first: the generated base answers UNIMPLEMENTED to whatever it still finds.
class RuleService(RuleCalls, AlertCalls, MonitorCalls, EvaluatorCalls, NotifierCalls, RuleServiceServicer):
    """The servicer."""
