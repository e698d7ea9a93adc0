"""The three services as the contract describes them, kept in memory: what the command talks to in its tests."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from monitors.cli.channels import CREDENTIALS
from monitors.mesh.errors import EtagMismatch, MeshError, NotFound, Unauthenticated
from monitors.mesh.identity import SCOPES, Principal
from monitors.mesh.server import MeshServer
from monitors.mesh.times import SECOND, to_duration, to_timestamp
from monitors.v1 import evaluator_service_pb2 as evaluator_pb
from monitors.v1 import notifier_service_pb2 as notifier_pb
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.alert_pb2 import Alert, AlertEventKind, AlertState, DeliveryState
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceServicer, add_EvaluatorServiceServicer_to_server
from monitors.v1.monitor_pb2 import FieldType, Monitor
from monitors.v1.notification_pb2 import Channel, Delivery, DeliveryAttempt, DeliveryOutcome
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceServicer, add_NotifierServiceServicer_to_server
from monitors.v1.rule_pb2 import Rule, Severity
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, add_RuleServiceServicer_to_server

KEY = "alk_local_test"
NOON = 1_772_366_400 * SECOND
"""2026-03-01T12:00:00Z"""


def alert(number: int, **changes: Any) -> Alert:
    """An alert that fires since noon."""
    made = Alert(
        id=f"alert_{number:012d}", rule_id="rule_000000000001", title="CPU is hot", monitor_id="mon_host",
        severity=Severity.SEVERITY_HIGH, state=AlertState.ALERT_STATE_FIRING,
        condition_text="avg(cpu_percent, 1m) > 90", value=97.25, fire_time=to_timestamp(NOON),
        active_time=to_timestamp(NOON - 30 * SECOND), group={"core": "0"}, annotations={"runbook_url": "https://run"},
    )  # fmt: skip
    made.MergeFrom(Alert(**changes))
    return made


def page(items: list[Any], request: Any) -> tuple[list[Any], str]:
    """The page that the request names; the token is the place of its first item."""
    start = int(request.page_token or 0)
    end = start + (request.page_size or 50)
    return items[start:end], str(end) if end < len(items) else ""


class Rules(RuleServiceServicer):
    """RuleService. `requests` are all that came; `failure`, if set, answers each of them."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.alerts: dict[str, Alert] = {}
        self.monitors: list[Monitor] = []
        self.requests: list[Any] = []
        self.failure: MeshError | None = None
        self.warnings: list[str] = []
        self.events: asyncio.Queue[pb.WatchAlertsResponse | None] = asyncio.Queue()
        self.open_gate = asyncio.Event()
        self.open_gate.set()

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        return "monitors.v1.RuleService"

    def _note(self, request: Any) -> None:
        self.requests.append(request)
        if self.failure:
            raise self.failure

    def _rule(self, rule_id: str, etag: str = "") -> Rule:
        rule = self.rules.get(rule_id)
        if rule is None:
            raise NotFound("rule", rule_id, "`monitors rules list` shows them")
        if etag and etag != rule.etag:
            raise EtagMismatch("rule", rule_id, etag, rule.etag)
        return rule

    def _filled(self, rule: Rule) -> Rule:
        filled = Rule(cooldown=to_duration(300 * SECOND), interval=to_duration(30 * SECOND), enabled=True)
        filled.MergeFrom(rule)
        filled.severity = filled.severity or Severity.SEVERITY_MEDIUM
        return filled

    async def CreateRule(self, request: pb.CreateRuleRequest, context: Any) -> pb.CreateRuleResponse:
        self._note(request)
        rule = self._filled(request.rule)
        rule.id, rule.etag = f"rule_{len(self.rules) + 1:012d}", "1"
        self.rules[rule.id] = rule
        return pb.CreateRuleResponse(rule=rule, warnings=self.warnings)

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        self._note(request)
        return pb.GetRuleResponse(rule=self._rule(request.rule_id))

    async def ListRules(self, request: pb.ListRulesRequest, context: Any) -> pb.ListRulesResponse:
        self._note(request)
        rules, token = page(list(self.rules.values()), request)
        return pb.ListRulesResponse(rules=rules, next_page_token=token, total_count=len(self.rules))

    async def UpdateRule(self, request: pb.UpdateRuleRequest, context: Any) -> pb.UpdateRuleResponse:
        self._note(request)
        rule = self._rule(request.rule.id, request.rule.etag)
        previous = Rule()
        previous.CopyFrom(rule)
        for path in request.update_mask.paths:
            rule.ClearField(path)  # type: ignore[arg-type]
        FieldMask(paths=request.update_mask.paths).MergeMessage(request.rule, rule)
        rule.etag = str(int(rule.etag) + 1)
        return pb.UpdateRuleResponse(rule=rule, previous=previous)

    async def DeleteRule(self, request: pb.DeleteRuleRequest, context: Any) -> pb.DeleteRuleResponse:
        self._note(request)
        self._rule(request.rule_id, request.etag)
        return pb.DeleteRuleResponse(rule=self.rules.pop(request.rule_id), resolved_alert_count=2)

    async def PreviewRule(self, request: pb.PreviewRuleRequest, context: Any) -> pb.PreviewRuleResponse:
        self._note(request)
        rule = self._filled(self._rule(request.rule.id) if request.rule.id else request.rule)
        match = evaluator_pb.SeriesInfo(type=FieldType.FIELD_TYPE_FLOAT, last_value=12.5, last_time=to_timestamp(NOON))
        match.key.monitor_id, match.key.measurement, match.key.field = "mon_host", "cpu", "cpu_percent"
        response = pb.PreviewRuleResponse(rule=rule, explanation="Fires when it is hot.", matches=[match])
        if request.include_chart:
            response.chart = b"\x89PNG chart"
        if request.HasField("backtest_window"):
            backtest = response.backtest
            backtest.count, backtest.current_value = 1, 12.5
            backtest.total.seconds = backtest.longest.seconds = 90
            backtest.total.nanos = 123_456_789
            interval = backtest.intervals.add(monitor_id="mon_host", value=97.25)
            interval.start_time.CopyFrom(to_timestamp(NOON))
            backtest.suggestions.add(threshold=95, alerts_per_day=0.97)
            backtest.warnings.append("the history is short")
        return response

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Any) -> pb.ListAlertsResponse:
        self._note(request)
        alerts, token = page(list(self.alerts.values()), request)
        return pb.ListAlertsResponse(alerts=alerts, next_page_token=token, total_count=len(self.alerts))

    async def GetAlert(self, request: pb.GetAlertRequest, context: Any) -> pb.GetAlertResponse:
        self._note(request)
        await self.open_gate.wait()
        response = pb.GetAlertResponse(alert=self.alerts[request.alert_id])
        response.timeline.add(time=to_timestamp(NOON), kind=AlertEventKind.ALERT_EVENT_KIND_FIRING, value=97.25)
        response.deliveries.add(
            notification_id="note_1", channel="ops", kind=AlertEventKind.ALERT_EVENT_KIND_FIRING,
            state=DeliveryState.DELIVERY_STATE_DELIVERED, attempt_count=2, detail="200 OK", time=to_timestamp(NOON),
        )  # fmt: skip
        return response

    async def AcknowledgeAlerts(
        self, request: pb.AcknowledgeAlertsRequest, context: Any
    ) -> pb.AcknowledgeAlertsResponse:
        self._note(request)
        response = pb.AcknowledgeAlertsResponse()
        for alert_id in request.alert_ids:
            found = self.alerts[alert_id]
            if found.HasField("acknowledgement"):
                response.already_acknowledged_ids.append(alert_id)
            else:
                found.acknowledgement.user, found.acknowledgement.note = "ann", request.note
                found.acknowledgement.time.CopyFrom(to_timestamp(NOON))
            response.alerts.append(found)
        return response

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        self._note(request)
        yield pb.WatchAlertsResponse()
        if request.include_firing:
            for firing in self.alerts.values():
                yield pb.WatchAlertsResponse(alert=firing)
        # None in the queue ends the stream, as a server that stops does.
        while event := await self.events.get():
            yield event

    async def ListMonitors(self, request: pb.ListMonitorsRequest, context: Any) -> pb.ListMonitorsResponse:
        self._note(request)
        monitors, token = page([m for m in self.monitors if request.query in m.id], request)
        return pb.ListMonitorsResponse(monitors=monitors, next_page_token=token, total_count=len(self.monitors))

    async def CreateKey(self, request: pb.CreateKeyRequest, context: Any) -> pb.CreateKeyResponse:
        self._note(request)
        return pb.CreateKeyResponse(key="alk_local_secret", key_id="key_000000000001")


class Notifier(NotifierServiceServicer):
    """NotifierService. `outcome` is how the next test goes."""

    def __init__(self) -> None:
        self.channels: dict[str, Channel] = {}
        self.deliveries: list[Delivery] = []
        self.requests: list[Any] = []
        self.outcome = DeliveryOutcome.DELIVERY_OUTCOME_OK
        self.problems: list[str] = []
        self.open_breakers: list[str] = []

    def add_to(self, server: grpc.aio.Server) -> str:
        add_NotifierServiceServicer_to_server(self, server)
        return "monitors.v1.NotifierService"

    def _channel(self, name: str) -> Channel:
        if name not in self.channels:
            raise NotFound("channel", name)
        return self.channels[name]

    async def CreateChannel(
        self, request: notifier_pb.CreateChannelRequest, context: Any
    ) -> notifier_pb.CreateChannelResponse:
        self.requests.append(request)
        channel = Channel()
        channel.CopyFrom(request.channel)
        channel.id, channel.etag = f"chan_{len(self.channels) + 1:012d}", "1"
        secret = ""
        if channel.HasField("webhook"):
            secret, channel.webhook.secret = "" if channel.webhook.secret else "whsec_made", ""
            channel.webhook.secret_fingerprint = "0123abcd"
        kind = channel.WhichOneof("kind") or ""
        if kind in CREDENTIALS:
            setattr(getattr(channel, kind), CREDENTIALS[kind], "")
            getattr(channel, kind).fingerprint = "4567cdef"
        self.channels[channel.name] = channel
        warnings = ["plain http is allowed only locally"] if channel.webhook.url.startswith("http:") else []
        return notifier_pb.CreateChannelResponse(channel=channel, webhook_secret=secret, warnings=warnings)

    async def GetChannel(self, request: notifier_pb.GetChannelRequest, context: Any) -> notifier_pb.GetChannelResponse:
        return notifier_pb.GetChannelResponse(channel=self._channel(request.channel_id))

    async def UpdateChannel(
        self, request: notifier_pb.UpdateChannelRequest, context: Any
    ) -> notifier_pb.UpdateChannelResponse:
        self.requests.append(request)
        (channel,) = (one for one in self.channels.values() if one.id == request.channel.id)
        request.update_mask.MergeMessage(
            request.channel, channel, replace_message_field=True, replace_repeated_field=True
        )
        return notifier_pb.UpdateChannelResponse(channel=channel)

    async def ListChannels(
        self, request: notifier_pb.ListChannelsRequest, context: Any
    ) -> notifier_pb.ListChannelsResponse:
        # Pages of one make the client turn the page.
        request.page_size = 1
        channels, token = page(sorted(self.channels.values(), key=lambda channel: channel.name), request)
        return notifier_pb.ListChannelsResponse(channels=channels, next_page_token=token)

    async def DeleteChannel(
        self, request: notifier_pb.DeleteChannelRequest, context: Any
    ) -> notifier_pb.DeleteChannelResponse:
        self._channel(request.channel_id)
        return notifier_pb.DeleteChannelResponse(channel=self.channels.pop(request.channel_id))

    async def VerifyChannel(
        self, request: notifier_pb.VerifyChannelRequest, context: Any
    ) -> notifier_pb.VerifyChannelResponse:
        self.requests.append(request)
        channel = self._channel(request.channel_id)
        del channel.email.waiting_addresses[:1]
        return notifier_pb.VerifyChannelResponse(channel=channel)

    async def SendVerification(
        self, request: notifier_pb.SendVerificationRequest, context: Any
    ) -> notifier_pb.SendVerificationResponse:
        channel = self._channel(request.channel_id)
        return notifier_pb.SendVerificationResponse(channel=channel, warnings=["no code was mailed to one of them"])

    async def TestChannel(
        self, request: notifier_pb.TestChannelRequest, context: Any
    ) -> notifier_pb.TestChannelResponse:
        self._channel(request.channel_id)
        attempt = DeliveryAttempt(
            outcome=self.outcome, status=200, start_time=to_timestamp(NOON), end_time=to_timestamp(NOON + 12_000_000)
        )
        return notifier_pb.TestChannelResponse(attempt=attempt)

    async def ListDeliveries(
        self, request: notifier_pb.ListDeliveriesRequest, context: Any
    ) -> notifier_pb.ListDeliveriesResponse:
        self.requests.append(request)
        known = {delivery.id: delivery for delivery in self.deliveries}
        message = known[request.told_with].message_id if request.told_with else ""
        told = [one for one in self.deliveries if message in ("", one.message_id)]
        deliveries, token = page(told, request)
        return notifier_pb.ListDeliveriesResponse(deliveries=deliveries, next_page_token=token)

    async def RetryDelivery(
        self, request: notifier_pb.RetryDeliveryRequest, context: Any
    ) -> notifier_pb.RetryDeliveryResponse:
        for delivery in self.deliveries:
            if delivery.id == request.delivery_id:
                delivery.state = DeliveryState.DELIVERY_STATE_PENDING
                return notifier_pb.RetryDeliveryResponse(delivery=delivery)
        raise NotFound("delivery", request.delivery_id)

    async def GetDelivery(
        self, request: notifier_pb.GetDeliveryRequest, context: Any
    ) -> notifier_pb.GetDeliveryResponse:
        for delivery in self.deliveries:
            if delivery.id == request.delivery_id:
                return notifier_pb.GetDeliveryResponse(delivery=delivery)
        raise NotFound("delivery", request.delivery_id)

    async def RetryDeliveries(
        self, request: notifier_pb.RetryDeliveriesRequest, context: Any
    ) -> notifier_pb.RetryDeliveriesResponse:
        self.requests.append(request)
        return notifier_pb.RetryDeliveriesResponse(retried_count=2, skipped_count=1, has_more=True)

    async def GetNotifierStatus(
        self, request: notifier_pb.GetNotifierStatusRequest, context: Any
    ) -> notifier_pb.GetNotifierStatusResponse:
        return notifier_pb.GetNotifierStatusResponse(
            start_time=to_timestamp(NOON),
            pending_count=3,
            dead_count=2,
            suppressed_count=1,
            oldest_due_time=to_timestamp(NOON),
            open_breakers=self.open_breakers,
            problems=self.problems,
        )


class Evaluator(EvaluatorServiceServicer):
    """EvaluatorService, as far as the command asks it."""

    def add_to(self, server: grpc.aio.Server) -> str:
        add_EvaluatorServiceServicer_to_server(self, server)
        return "monitors.v1.EvaluatorService"

    async def GetEvaluatorStatus(
        self, request: evaluator_pb.GetEvaluatorStatusRequest, context: Any
    ) -> evaluator_pb.GetEvaluatorStatusResponse:
        return evaluator_pb.GetEvaluatorStatusResponse(
            start_time=to_timestamp(NOON), rule_count=7, last_step_duration=to_duration(1_500_000)
        )


class MemoryMesh:
    """The three services behind one server."""

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        # What a servicer here leaves out answers UNIMPLEMENTED, as the generated base class has it.
        self.rules = Rules()  # type: ignore[abstract]
        self.notifier = Notifier()  # type: ignore[abstract]
        self.evaluator = Evaluator()  # type: ignore[abstract]
        self.port = 0


async def authenticate(credential: str) -> Principal:
    """Knows one key."""
    if credential != KEY:
        raise Unauthenticated("the credential isn't known; use the one in $MONITORS_HOME/key")
    return Principal("acme", "ann", frozenset(SCOPES))


@asynccontextmanager
async def open_memory_mesh(*, with_evaluator: bool = True, with_notifier: bool = True) -> AsyncIterator[MemoryMesh]:
    """The mesh on a free port."""
    mesh = MemoryMesh()
    server = MeshServer(authenticate, mesh.closing)
    server.host(mesh.rules)
    if with_notifier:
        server.host(mesh.notifier)
    if with_evaluator:
        server.host(mesh.evaluator)
    (mesh.port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
    try:
        yield mesh
    finally:
        mesh.rules.events.put_nowait(None)
        await server.stop()
