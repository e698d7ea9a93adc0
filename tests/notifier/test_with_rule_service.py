"""The notifier beside the real RuleService: an alert is told, and the alert shows that it was."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from monitors.mesh.channels import open_channel
from monitors.mesh.config import LOCAL_TENANT, NotifierSettings, RulesSettings
from monitors.mesh.config.notifier import DELIVERIES_KEPT
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.mesh.times import SECOND
from monitors.notifier import keeping
from monitors.notifier.main import open_notifier
from monitors.rules.main import open_rules
from monitors.v1 import alert_pb2, mesh_pb2, monitor_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1 import rule_service_pb2 as rules_pb
from monitors.v1.notification_pb2 import Channel, WebhookChannel
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.harness import LoopThread
from tests.notifier.world import PATIENCE, Receiver, Record, as_tenant
from tests.servers.backends import database_url, refusing
from tests.waiting import wait_for


@dataclass
class Opened:
    port: int
    key: str


@asynccontextmanager
async def both(folder: Path, lines: Record[str], deliveries_kept: int = DELIVERIES_KEPT) -> AsyncIterator[Opened]:
    """Both services on one server, as `monitors up` opens them."""
    is_closing = asyncio.Event()
    address = f"unix:{folder / 'mesh.sock'}"
    url = database_url(folder / "notifier.db", "notifier")
    settings = NotifierSettings(url, folder / "master.key", None, True, deliveries_kept=deliveries_kept)
    async with (
        open_channel(address, "mesh") as channel,
        open_rules(RulesSettings(database_url(folder / "rules.db")), is_closing, None) as rules,
        open_notifier(settings, channel, is_closing, lines.add) as notifier,
    ):
        key = await rules.ensure_local_key(folder / "key")
        server = MeshServer(with_service_token("mesh", rules.authenticate), is_closing)
        server.host(rules)
        server.host(notifier)
        port, _ = await server.start(["127.0.0.1:0", address], variable="MONITORS_GRPC_PORT")
        await notifier.ensure_console(LOCAL_TENANT)
        yield Opened(port, key)
        is_closing.set()
        await server.stop()


def transition(rule_id: str, kind: alert_pb2.AlertEventKind.ValueType, now: int) -> mesh_pb2.Transition:
    return mesh_pb2.Transition(
        tenant_id=LOCAL_TENANT, rule_id=rule_id, monitor_id="mon_host", episode=1, kind=kind, time_nanos=now, value=97
    )


def test_an_alert_is_told_in_order_and_shows_its_deliveries(
    loop_thread: LoopThread, tmp_path: Path, receiver: Receiver
) -> None:
    lines: Record[str] = Record()
    with (
        loop_thread.opened(both(tmp_path, lines)) as opened,
        grpc.insecure_channel(f"127.0.0.1:{opened.port}") as raw,
    ):
        rules = RuleServiceStub(as_tenant(raw, opened.key))
        mesh = RuleServiceStub(as_tenant(raw, "mesh"))
        notifier = NotifierServiceStub(as_tenant(raw, opened.key))
        notifier.CreateChannel(
            pb.CreateChannelRequest(
                channel=Channel(name="ops", is_default=True, webhook=WebhookChannel(url=receiver.url))
            )
        )
        names = rules.ListChannelNames(rules_pb.ListChannelNamesRequest()).channels
        assert [(name.name, name.kind, name.is_default) for name in names] == [
            ("console", "console", True),
            ("ops", "webhook", True),
        ]
        field = monitor_pb2.MonitorField(measurement="cpu", field="cpu_percent", type=monitor_pb2.FIELD_TYPE_FLOAT)
        rules.RegisterMonitor(rules_pb.RegisterMonitorRequest(monitor_id="mon_host", fields=[field]))
        rule = rule_pb2.Rule(monitor_id="mon_host", title="CPU is hot", condition_text="cpu_percent > 90")
        rule_id = rules.CreateRule(rules_pb.CreateRuleRequest(rule=rule)).rule.id
        now = time.time_ns()
        firing = transition(rule_id, alert_pb2.ALERT_EVENT_KIND_FIRING, now)
        resolved = transition(rule_id, alert_pb2.ALERT_EVENT_KIND_RESOLVED, now + 1_000_000_000)
        results = mesh.RecordTransitions(rules_pb.RecordTransitionsRequest(transitions=[firing])).results
        lines.wait_for_count(1)
        rules.AcknowledgeAlerts(rules_pb.AcknowledgeAlertsRequest(alert_ids=[results[0].alert_id], note="on it"))
        mesh.RecordTransitions(rules_pb.RecordTransitionsRequest(transitions=[resolved]))
        words = [line.split()[1] for line in lines.wait_for_count(3)]
        assert words == ["FIRING", "ACKNOWLEDGED", "RESOLVED"]
        types = [json.loads(request.body)["type"] for request in receiver.received.wait_for_count(2)]
        assert types == ["alert.firing", "alert.resolved"]
        deadline = time.monotonic() + PATIENCE
        while True:
            found = rules.GetAlert(rules_pb.GetAlertRequest(alert_id=results[0].alert_id)).deliveries
            if len(found) == 5 or time.monotonic() > deadline:
                break
            time.sleep(0.02)
        assert sorted((one.channel, one.kind, one.state) for one in found) == [
            ("console", alert_pb2.ALERT_EVENT_KIND_FIRING, alert_pb2.DELIVERY_STATE_DELIVERED),
            ("console", alert_pb2.ALERT_EVENT_KIND_RESOLVED, alert_pb2.DELIVERY_STATE_DELIVERED),
            ("console", alert_pb2.ALERT_EVENT_KIND_ACKNOWLEDGED, alert_pb2.DELIVERY_STATE_DELIVERED),
            ("ops", alert_pb2.ALERT_EVENT_KIND_FIRING, alert_pb2.DELIVERY_STATE_DELIVERED),
            ("ops", alert_pb2.ALERT_EVENT_KIND_RESOLVED, alert_pb2.DELIVERY_STATE_DELIVERED),
        ]


def test_what_cannot_be_stored_is_a_problem_until_it_is_told(
    loop_thread: LoopThread, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines: Record[str] = Record()
    with (
        loop_thread.opened(both(tmp_path, lines)) as opened,
        grpc.insecure_channel(f"127.0.0.1:{opened.port}") as raw,
        refusing(tmp_path / "notifier.db", "notifier", "notifier_deliveries") as refused,
    ):
        rules = RuleServiceStub(as_tenant(raw, opened.key))
        mesh = RuleServiceStub(as_tenant(raw, "mesh"))
        notifier = NotifierServiceStub(as_tenant(raw, opened.key))

        def problems() -> list[str]:
            return list(notifier.GetNotifierStatus(pb.GetNotifierStatusRequest()).problems)

        field = monitor_pb2.MonitorField(measurement="cpu", field="cpu_percent", type=monitor_pb2.FIELD_TYPE_FLOAT)
        rules.RegisterMonitor(rules_pb.RegisterMonitorRequest(monitor_id="mon_host", fields=[field]))
        rule = rule_pb2.Rule(monitor_id="mon_host", title="CPU is hot", condition_text="cpu_percent > 90")
        rule_id = rules.CreateRule(rules_pb.CreateRuleRequest(rule=rule)).rule.id
        refused.begin()
        firing = transition(rule_id, alert_pb2.ALERT_EVENT_KIND_FIRING, time.time_ns())
        mesh.RecordTransitions(rules_pb.RecordTransitionsRequest(transitions=[firing]))
        deadline = time.monotonic() + PATIENCE
        while not problems():
            assert time.monotonic() < deadline
        # It stays one through all that is tried, and each try asks RuleService anew.
        tried = len(caplog.records)
        while len(caplog.records) < tried + 4:
            assert problems(), [r.getMessage() for r in caplog.records]
            assert time.monotonic() < deadline
        assert lines.items == []
        refused.end()
        assert len(lines.wait_for_count(1)) == 1


def test_what_tells_of_an_alert_goes_once_rule_service_says_that_it_is_over(
    loop_thread: LoopThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "PAUSE", SECOND // 20)
    lines: Record[str] = Record()
    with (
        loop_thread.opened(both(tmp_path, lines, deliveries_kept=1)) as opened,
        grpc.insecure_channel(f"127.0.0.1:{opened.port}") as raw,
    ):
        rules, mesh = RuleServiceStub(as_tenant(raw, opened.key)), RuleServiceStub(as_tenant(raw, "mesh"))
        notifier = NotifierServiceStub(as_tenant(raw, opened.key))
        field = monitor_pb2.MonitorField(measurement="cpu", field="cpu_percent", type=monitor_pb2.FIELD_TYPE_FLOAT)
        rules.RegisterMonitor(rules_pb.RegisterMonitorRequest(monitor_id="mon_host", fields=[field]))
        rule = rule_pb2.Rule(monitor_id="mon_host", title="CPU is hot", condition_text="cpu_percent > 90")
        ids = [rules.CreateRule(rules_pb.CreateRuleRequest(rule=rule)).rule.id for _ in range(2)]
        now = time.time_ns()

        def record(kind: alert_pb2.AlertEventKind.ValueType, *rule_ids: str) -> list[str]:
            transitions = [transition(rule_id, kind, now) for rule_id in rule_ids]
            results = mesh.RecordTransitions(rules_pb.RecordTransitionsRequest(transitions=transitions)).results
            return [result.alert_id for result in results]

        def told() -> set[str]:
            return {one.alert_id for one in notifier.ListDeliveries(pb.ListDeliveriesRequest()).deliveries}

        over, still = record(alert_pb2.ALERT_EVENT_KIND_FIRING, *ids)
        lines.wait_for_count(2)
        record(alert_pb2.ALERT_EVENT_KIND_RESOLVED, ids[0])
        lines.wait_for_count(3)
        wait_for(lambda: over not in told(), "what isn't kept to go")
        assert told() == {still}
        # Its end is told to who has heard of it, and then that goes, too.
        record(alert_pb2.ALERT_EVENT_KIND_RESOLVED, ids[1])
        assert lines.wait_for_count(4)[-1].split()[1] == "RESOLVED"
        wait_for(lambda: not told(), "what isn't kept to go")
