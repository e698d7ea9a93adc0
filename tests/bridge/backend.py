"""A real gRPC server that keeps RuleService's contract in memory, so that the bridge is tested over the wire."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from monitors.mesh.errors import (
    EtagMismatch,
    InvalidCondition,
    InvalidField,
    MeshError,
    NotBuilt,
    NotFound,
    Unauthenticated,
    UnknownChannel,
    UnknownMonitor,
)
from monitors.mesh.identity import ORDINARY_SCOPES, Principal, current_principal
from monitors.mesh.ids import new_id
from monitors.mesh.server import MeshServer
from monitors.v1 import alert_pb2, mesh_pb2, monitor_pb2, rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.rule_service_pb2_grpc import RuleServiceServicer, add_RuleServiceServicer_to_server

FIRED_AT = 1_795_000_000
CONDITION = re.compile(
    r"^(?P<field>[a-z_]+|avg\([a-z_]+, \d+m\)) *(?P<op>[<>]=?|==) *(?P<value>\d+)( for (?P<for>\d+)m)?$"
)


@dataclass
class Backend(RuleServiceServicer):
    """RuleService in memory. `keys` are the credentials that it accepts."""

    port: int = 0
    keys: set[str] = field(default_factory=lambda: {"local-key"})
    rules: dict[str, rule_pb2.Rule] = field(default_factory=dict)
    alerts: dict[str, alert_pb2.Alert] = field(default_factory=dict)
    monitors: list[monitor_pb2.Monitor] = field(default_factory=list)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    """Method, caller and request of every call."""
    failures: list[MeshError] = field(default_factory=list)
    """What the next calls of CreateRule raise, instead of creating."""
    unknown_channels: bool = False
    """Whether it knows no channel."""
    is_slow: bool = False
    """Whether backtests take too long."""
    match_count: int = 1
    """How many series a preview matches."""
    waiting: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)
    watchers: int = 0
    """How many streams of WatchAlerts are open."""
    unwatched: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the last of them ends."""
    speaking: asyncio.Event = field(default_factory=lambda: _set(asyncio.Event()))
    """Set while they come to their first message."""
    ending: asyncio.Event = field(default_factory=asyncio.Event)
    """Ends those that began with it, once it's set."""

    def add_to(self, server: grpc.aio.Server) -> str:
        add_RuleServiceServicer_to_server(self, server)
        return "monitors.v1.RuleService"

    async def authenticate(self, credential: str) -> Principal:
        if credential not in self.keys:
            raise Unauthenticated("the credential isn't known")
        return Principal("local", credential, frozenset(ORDINARY_SCOPES))

    def _note(self, request: Any) -> None:
        self.calls.append((type(request).__name__.removesuffix("Request"), current_principal().user, request))

    def _rule(self, rule_id: str) -> rule_pb2.Rule:
        if rule_id not in self.rules:
            raise NotFound("rule", rule_id)
        return self.rules[rule_id]

    def _alert(self, alert_id: str) -> alert_pb2.Alert:
        if alert_id not in self.alerts:
            raise NotFound("alert", alert_id)
        return self.alerts[alert_id]

    def _completed(self, given: rule_pb2.Rule) -> rule_pb2.Rule:
        rule = rule_pb2.Rule()
        rule.CopyFrom(given)
        if rule.monitor_id not in [monitor.id for monitor in self.monitors]:
            raise UnknownMonitor("rule.monitor_id", f"no monitor {rule.monitor_id!r} has ever reported")
        if self.unknown_channels and rule.notify:
            raise UnknownChannel("rule.notify", f"there is no channel {rule.notify[0]!r}; there are console")
        match = CONDITION.match(rule.condition_text)
        if rule.condition_text and match is None:
            raise InvalidCondition(
                "rule.condition_text", f"{rule.condition_text!r} can't be read at position 0; say `cpu_percent > 90`"
            )
        if match is not None:
            if match["for"]:
                rule.for_duration.seconds = int(match["for"]) * 60
            rule.condition.comparison.tolerance = float(match["value"])
            rule.condition.comparison.left.input.field = match["field"]
        suffix = f" for {rule.for_duration.seconds // 60}m" if rule.for_duration.seconds else ""
        comparison = rule.condition.comparison
        rule.condition_text = f"{comparison.left.input.field} > {comparison.tolerance:.0f}{suffix}"
        rule.severity = rule.severity or rule_pb2.SEVERITY_MEDIUM
        rule.no_data_policy = rule.no_data_policy or rule_pb2.MISSING_POLICY_KEEP
        for name, seconds in (("cooldown", 300), ("interval", 30), ("repeat_interval", 14_400)):
            if not rule.HasField(name):  # type: ignore[arg-type]
                getattr(rule, name).seconds = seconds
        rule.enabled = rule.enabled if rule.HasField("enabled") else True
        return rule

    async def CreateRule(self, request: pb.CreateRuleRequest, context: Any) -> pb.CreateRuleResponse:
        self._note(request)
        if self.failures:
            raise self.failures.pop()
        rule = self._completed(request.rule)
        rule.id, rule.etag, rule.creator = new_id("rule"), "v1", current_principal().user
        rule.create_time.seconds = rule.update_time.seconds = FIRED_AT
        self.rules[rule.id] = rule
        return pb.CreateRuleResponse(rule=rule, warnings=["the window is shorter than the interval"])

    async def PreviewRule(self, request: pb.PreviewRuleRequest, context: Any) -> pb.PreviewRuleResponse:
        self._note(request)
        given = self._rule(request.rule.id) if request.rule.id else request.rule
        response = pb.PreviewRuleResponse(rule=self._completed(given))
        response.explanation = f"Fires when {response.rule.condition_text}."
        for _ in range(self.match_count):
            match = response.matches.add(last_value=42.5)
            match.key.monitor_id, match.key.measurement, match.key.field = given.monitor_id, "cpu", "cpu_percent"
        if request.HasField("backtest_window"):
            if self.is_slow:
                raise InvalidField("backtest_window", "takes too long; ask for a shorter time")
            backtest = response.backtest
            backtest.count, backtest.current_value = 12, 42.5
            backtest.total.seconds, backtest.longest.seconds = 3_600, 900
            for number in range(12):
                interval = backtest.intervals.add(monitor_id=given.monitor_id, value=90.0 + number, group={"core": "0"})
                interval.start_time.seconds = FIRED_AT + 100 * number
                if number < 11:
                    interval.end_time.seconds = FIRED_AT + 100 * number + 50
            backtest.suggestions.add(threshold=97, alerts_per_day=1.04)
            backtest.warnings.append("the history is short")
        return response

    async def GetRule(self, request: pb.GetRuleRequest, context: Any) -> pb.GetRuleResponse:
        self._note(request)
        if request.rule_id == "rule_slow":
            self.waiting.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        if request.rule_id == "rule_broken":
            raise ValueError("mysql://root:secret@db is on fire")
        return pb.GetRuleResponse(rule=self._rule(request.rule_id))

    async def ListRules(self, request: pb.ListRulesRequest, context: Any) -> pb.ListRulesResponse:
        self._note(request)
        terms = _terms(request.filter)
        matching = [rule for rule in reversed(self.rules.values()) if _matches(rule, terms)]
        page, token = _page(matching, request)
        return pb.ListRulesResponse(rules=page, next_page_token=token, total_count=len(matching))

    async def UpdateRule(self, request: pb.UpdateRuleRequest, context: Any) -> pb.UpdateRuleResponse:
        self._note(request)
        previous = self._rule(request.rule.id)
        if request.rule.etag and request.rule.etag != previous.etag:
            raise EtagMismatch("rule", previous.id, request.rule.etag, previous.etag)
        merged = rule_pb2.Rule()
        merged.CopyFrom(previous)
        paths = list(request.update_mask.paths)
        for path in paths:
            merged.ClearField(path)  # type: ignore[arg-type]
        changed = rule_pb2.Rule()
        request.update_mask.MergeMessage(request.rule, changed)
        merged.MergeFrom(changed)
        if "condition_text" not in paths:
            merged.condition_text = ""
        rule = self._completed(merged)
        rule.etag = f"v{int(previous.etag[1:]) + 1}"
        self.rules[rule.id] = rule
        return pb.UpdateRuleResponse(rule=rule, previous=previous)

    async def DeleteRule(self, request: pb.DeleteRuleRequest, context: Any) -> pb.DeleteRuleResponse:
        self._note(request)
        rule = self._rule(request.rule_id)
        if request.etag and request.etag != rule.etag:
            raise EtagMismatch("rule", rule.id, request.etag, rule.etag)
        del self.rules[rule.id]
        return pb.DeleteRuleResponse(rule=rule, resolved_alert_count=1)

    async def ListAlerts(self, request: pb.ListAlertsRequest, context: Any) -> pb.ListAlertsResponse:
        self._note(request)
        terms = _terms(request.filter)
        state = {"firing": alert_pb2.ALERT_STATE_FIRING, "resolved": alert_pb2.ALERT_STATE_RESOLVED}.get(
            terms.get("state", "")
        )
        matching = [
            alert
            for alert in self.alerts.values()
            if (state is None or alert.state == state)
            and terms.get("rule_id", alert.rule_id) == alert.rule_id
            and terms.get("acknowledged", str(alert.HasField("acknowledgement")).lower())
            == str(alert.HasField("acknowledgement")).lower()
        ]
        page, token = _page(matching, request)
        return pb.ListAlertsResponse(alerts=page, next_page_token=token, total_count=len(matching))

    async def GetAlert(self, request: pb.GetAlertRequest, context: Any) -> pb.GetAlertResponse:
        self._note(request)
        alert = self._alert(request.alert_id)
        response = pb.GetAlertResponse(alert=alert)
        response.timeline.add(time=alert.fire_time, kind=alert_pb2.ALERT_EVENT_KIND_FIRING, value=97.0)
        response.deliveries.add(
            channel="console", kind=alert_pb2.ALERT_EVENT_KIND_FIRING, state=alert_pb2.DELIVERY_STATE_DELIVERED,
            attempt_count=1,
        )  # fmt: skip
        return response

    async def AcknowledgeAlerts(
        self, request: pb.AcknowledgeAlertsRequest, context: Any
    ) -> pb.AcknowledgeAlertsResponse:
        self._note(request)
        response = pb.AcknowledgeAlertsResponse()
        for alert in [self._alert(alert_id) for alert_id in request.alert_ids]:
            if alert.HasField("acknowledgement"):
                response.already_acknowledged_ids.append(alert.id)
            else:
                alert.acknowledgement.user, alert.acknowledgement.note = current_principal().user, request.note
                alert.acknowledgement.time.seconds = FIRED_AT + 60
            response.alerts.append(alert)
        return response

    async def WatchAlerts(self, request: pb.WatchAlertsRequest, context: Any) -> AsyncIterator[pb.WatchAlertsResponse]:
        self.watchers += 1
        self.unwatched.clear()
        ending = self.ending
        try:
            await self.speaking.wait()
            yield pb.WatchAlertsResponse()
            await ending.wait()
            # At a message it's found out whether the key is still good.
            yield pb.WatchAlertsResponse()
        finally:
            self.watchers -= 1
            if not self.watchers:
                self.unwatched.set()

    async def ExplainRule(self, request: pb.ExplainRuleRequest, context: Any) -> pb.ExplainRuleResponse:
        self._note(request)
        raise NotBuilt("ExplainRule", "GetAlert shows the timeline")

    async def ListMonitors(self, request: pb.ListMonitorsRequest, context: Any) -> pb.ListMonitorsResponse:
        self._note(request)
        matching = [monitor for monitor in self.monitors if request.query in monitor.id]
        page, token = _page(matching, request)
        return pb.ListMonitorsResponse(monitors=page, next_page_token=token, total_count=len(matching))

    async def ListChannelNames(self, request: pb.ListChannelNamesRequest, context: Any) -> pb.ListChannelNamesResponse:
        self._note(request)
        return pb.ListChannelNamesResponse(channels=[mesh_pb2.ChannelName(name="console")])

    def add_monitor(self, monitor_id: str, **values: float) -> None:
        monitor = monitor_pb2.Monitor(id=monitor_id)
        for name, value in values.items():
            monitor.fields.add(measurement="cpu", field=name, type=monitor_pb2.FIELD_TYPE_FLOAT, last_value=value)
        self.monitors.append(monitor)

    def add_rule(self, rule_id: str, title: str) -> None:
        rule = self._completed(
            rule_pb2.Rule(id=rule_id, title=title, monitor_id="mon_host", condition_text="cpu_percent > 90")
        )
        rule.etag = "v1"
        self.rules[rule_id] = rule

    def add_alert(self, title: str = "CPU is high", rule_id: str = "rule_7k2m9x4cqv0d") -> str:
        alert = alert_pb2.Alert(
            id=new_id("alert"), rule_id=rule_id, title=title, monitor_id="mon_host", value=97.123456,
            severity=rule_pb2.SEVERITY_HIGH, state=alert_pb2.ALERT_STATE_FIRING, condition_text="cpu_percent > 90",
        )  # fmt: skip
        alert.fire_time.seconds = alert.active_time.seconds = FIRED_AT
        self.alerts[alert.id] = alert
        return alert.id


def _set(event: asyncio.Event) -> asyncio.Event:
    event.set()
    return event


def _terms(text: str) -> dict[str, str]:
    terms = {}
    for name, quoted, bare in re.findall(r'([^\s="]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s"]+))', text):
        value = re.sub(r"\\(.)", r"\1", quoted) or bare
        if name not in {"monitor_id", "title", "severity", "state", "enabled", "rule_id", "acknowledged", "since"} and (
            not name.startswith("label.")
        ):
            raise InvalidField("filter", f"{name!r} isn't a name")
        terms[name] = value
    return terms


def _matches(rule: rule_pb2.Rule, terms: dict[str, str]) -> bool:
    return (
        terms.get("monitor_id", rule.monitor_id) == rule.monitor_id
        and terms.get("title", "").lower() in rule.title.lower()
        and terms.get("enabled", str(rule.enabled).lower()) == str(rule.enabled).lower()
        and all(rule.labels.get(k.removeprefix("label.")) == v for k, v in terms.items() if k.startswith("label."))
    )


def _page(items: list[Any], request: Any) -> tuple[list[Any], str]:
    start = int(request.page_token or 0)
    end = start + (request.page_size or 50)
    return items[start:end], str(end) if end < len(items) else ""


@asynccontextmanager
async def open_backend(port: int = 0) -> AsyncIterator[Backend]:
    """The backend, listening, with one monitor."""
    backend = Backend()  # type: ignore[abstract]
    backend.add_monitor("mon_host", cpu_percent=12.5, load=0.5)
    server = MeshServer(backend.authenticate, asyncio.Event())
    server.host(backend)
    (backend.port,) = await server.start([f"127.0.0.1:{port}"], variable="MONITORS_GRPC_PORT")
    try:
        yield backend
    finally:
        await server.stop()
