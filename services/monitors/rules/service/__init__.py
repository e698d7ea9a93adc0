"""RuleService: from a request to the model and the store, and back."""

import grpc

from monitors.rules.service.alerts import AlertCalls
from monitors.rules.service.audit import AuditCalls
from monitors.rules.service.base import Core
from monitors.rules.service.channel_links import ChannelLinkCalls
from monitors.rules.service.drawing import DrawingCalls
from monitors.rules.service.evaluators import EvaluatorCalls
from monitors.rules.service.keys import KeyCalls
from monitors.rules.service.monitors import MonitorCalls
from monitors.rules.service.notifications import NotifierCalls
from monitors.rules.service.past_alerts import PastAlertCalls
from monitors.rules.service.rules import RuleCalls
from monitors.rules.service.watching import WatchCalls, add_watch_to
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, add_RuleServiceServicer_to_server

__all__ = ["Core", "RuleService", "add_to_server"]


# The parts come first: the generated base answers UNIMPLEMENTED to whatever it still finds.
class RuleService(
    RuleCalls,
    AlertCalls,
    PastAlertCalls,
    MonitorCalls,
    KeyCalls,
    ChannelLinkCalls,
    AuditCalls,
    EvaluatorCalls,
    WatchCalls,
    NotifierCalls,
    DrawingCalls,
    RuleServiceServicer,
):
    """The servicer."""


def add_to_server(servicer: RuleService, server: grpc.aio.Server) -> str:
    """Adds the servicer and returns the service's full name."""
    add_RuleServiceServicer_to_server(servicer, server)
    add_watch_to(servicer, server)
    return "monitors.v1.RuleService"
