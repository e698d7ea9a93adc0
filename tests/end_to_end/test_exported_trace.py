"""Traces as an operator gets them: whatever causes an alert, from a point or a tool call to the phone, is one trace."""

import json
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import duration_pb2

from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.evaluator_service_pb2 import GetEvaluatorStatusRequest
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.bridge.conftest import HTTP_COMMAND, HttpBridge
from tests.bridge.raw import http_call
from tests.collector import Exported, environment, spans
from tests.processes import BIN, MeshProcess, Receiver, receiver, wait_for
from tests.served import ServedMesh, served_mesh
from tests.servers.backends import keeping_points
from tests.servers.influxdb2 import ORG, TOKEN, influx2

pytestmark = pytest.mark.process

RULE_SERVICE = "monitors.v1.RuleService"
RECORD = f"{RULE_SERVICE}/RecordTransitions"
WAY = [
    ("monitors-evaluator", "evaluate", "internal"),
    ("monitors-evaluator", RECORD, "client"),
    ("monitors-rules", RECORD, "server"),
    ("monitors-notifier", "take over", "consumer"),
    ("monitors-notifier", "send webhook", "client"),
]
"""The spans between what brought a point and the receiver of the webhook."""


def traceparent(trace_id: str, span_id: str) -> str:
    return f"00-{trace_id}-{span_id}-01"


@contextmanager
def watching(home: Path, hook: Receiver, variables: dict[str, str], write: Any) -> Iterator[ServedMesh]:
    """Three processes, and a rule that tells the hook when a shop's response time is above 500."""
    with served_mesh(home, {"MONITORS_ALLOW_LOCAL_TARGETS": "1", **variables}) as mesh:
        channel = ["channels", "create", "ops", "--webhook", hook.url]
        known = mesh.client_environment(mesh.notifier)
        subprocess.run([str(BIN / "monitors"), *channel], env=known, capture_output=True, timeout=60, check=True)
        write(mesh, 120.0)
        rule = rule_pb2.Rule(
            monitor_id="shop", title="Slow", condition_text="response_time > 500", notify=["ops"],
            cooldown=duration_pb2.Duration(),
        )  # fmt: skip
        with mesh.channel(mesh.rules) as opened:
            rules, metadata = RuleServiceStub(opened), mesh.metadata()
            monitors = pb.ListMonitorsRequest()
            wait_for(lambda: rules.ListMonitors(monitors, metadata=metadata).monitors, "the monitor", 60)
            rules.CreateRule(pb.CreateRuleRequest(rule=rule), metadata=metadata)
        with mesh.channel(mesh.evaluator) as opened:
            # A point that comes before its rule is evaluated when the rule comes, which isn't the point's doing.
            evaluator, asked = EvaluatorServiceStub(opened), GetEvaluatorStatusRequest()
            wait_for(lambda: evaluator.GetEvaluatorStatus(asked, metadata=metadata).instance_count, "the rule", 60)
        yield mesh


def push(mesh: ServedMesh, value: float, **headers: str) -> None:
    """Writes a response time of the shop, now."""
    line = f"website_check,monitor_id=shop response_time={value} {time.time_ns()}"
    url = f"http://127.0.0.1:{mesh.http_port}/api/v2/write?bucket=any&org=any"
    request = urllib.request.Request(url, line.encode(), {"Authorization": f"Token {mesh.key()}", **headers})
    with urllib.request.urlopen(request, timeout=30):
        return


def found_way(collector: Receiver, trace_id: str) -> dict[tuple[str, str, str], Exported]:
    """The spans of a trace, once all of the way to the receiver are there."""

    def look() -> dict[tuple[str, str, str], Exported]:
        found = {(one.service, one.name, one.kind): one for one in spans(collector, trace_id)}
        return found if found.keys() >= set(WAY) else {}

    found: dict[tuple[str, str, str], Exported] = wait_for(look, f"the spans of {trace_id}", 60)
    evaluated, asked, recorded, taken, sent = (found[one] for one in WAY)
    assert asked.parent_id == taken.parent_id == evaluated.id
    assert recorded.parent_id == asked.id
    assert sent.parent_id == taken.id
    return found


def test_one_trace_leads_from_a_pushed_point_to_the_attempt_at_the_webhook(tmp_path: Path) -> None:
    ups, downs, span_id = secrets.token_hex(16), secrets.token_hex(16), secrets.token_hex(8)
    with receiver() as collector, receiver() as hook:
        # One in twenty traces is followed by default, and every one that is followed already.
        variables = {**environment(collector), "MONITORS_LOG_FORMAT": "json", **keeping_points()}
        with watching(tmp_path, hook, variables, push) as mesh:
            push(mesh, 730.5, traceparent=traceparent(ups, span_id))
            (firing,) = wait_for(lambda: hook.of_type("alert.firing"), "the firing webhook", 30)
            push(mesh, 90.0, traceparent=traceparent(downs, span_id))
            (resolved,) = wait_for(lambda: hook.of_type("alert.resolved"), "the resolved webhook", 30)
            told = firing.event["data"]
            for trace_id, delivery in ((ups, firing), (downs, resolved)):
                found = found_way(collector, trace_id)
                written = found["monitors-evaluator", "POST /api/v2/write", "server"]
                evaluated, _, _, _, sent = (found[one] for one in WAY)
                assert (written.parent_id, evaluated.parent_id) == (span_id, written.id)
                assert written.attributes["monitors.points"] == 1
                assert evaluated.attributes["monitors.rule_ids"] == [told["rule_id"]]
                assert sent.attributes | {"monitors.attempt": 1, "monitors.outcome": "ok"} == sent.attributes
                assert sent.attributes["monitors.alert_ids"] == [told["alert_id"]]
                assert {written.attributes["monitors.tenant_id"], sent.attributes["monitors.tenant_id"]} == {"local"}
                # The receiver may go on in it.
                assert delivery.headers["traceparent"] == traceparent(trace_id, sent.id)
            lines = [json.loads(line) for one in mesh.processes for line in one.output if line.startswith("{")]
            assert {"time", "level", "logger", "message"} <= set.intersection(*map(set, lines))
            exported = b"".join(delivery.body for delivery in collector.deliveries)
            for private in (mesh.key(), hook.url.removeprefix("http://"), "Slow", "response_time"):
                assert private.encode() not in exported


def test_one_trace_leads_from_a_poll_to_the_attempt_at_the_webhook(tmp_path: Path) -> None:
    with receiver() as collector, receiver() as hook, influx2() as influx:
        variables = {
            **environment(collector, "always_on"), "INFLUXDB_URL": influx.url, "INFLUXDB_TOKEN": TOKEN,
            "INFLUXDB_ORG": ORG, "MONITORS_INFLUXDB_POLL_SECONDS": "0.3", "MONITORS_INFLUXDB_LATENESS_SECONDS": "1",
        }  # fmt: skip

        def write(_: ServedMesh, value: float) -> None:
            influx.write(f"website_check,monitor_id=shop response_time={value} {time.time_ns()}")

        with watching(tmp_path, hook, variables, write) as mesh:
            write(mesh, 730.5)
            (firing,) = wait_for(lambda: hook.of_type("alert.firing"), "the firing webhook", 60)
            trace_id = firing.headers["traceparent"].split("-")[1]
            found = found_way(collector, trace_id)
            polled = found["monitors-evaluator", "poll", "client"]
            assert (polled.parent_id, found[WAY[0]].parent_id) == ("", polled.id)
            # What nobody has asked for in a call belongs to no endless one.
            assert not {"LeaseNotifications", "WatchRules"} & {one.name.split("/")[-1] for one in spans(collector)}


def test_a_client_finds_its_call_in_the_bridges_and_the_meshs_spans(tmp_path: Path) -> None:
    trace_id, span_id = secrets.token_hex(16), secrets.token_hex(8)
    tool, rpc = "tools/call list_alert_rules", f"{RULE_SERVICE}/ListRules"
    with receiver() as collector, ExitStack() as stack:
        mesh = MeshProcess(tmp_path, "--no-host", environment=environment(collector))
        mesh.start()
        stack.callback(mesh.stop)
        bridge = HttpBridge(command=tuple(HTTP_COMMAND), **{**mesh.client_environment, **environment(collector)})
        stack.callback(bridge.close)

        # Not by the SDK's client, which would make a span of its own if this process had traces to write.
        http_call(bridge.url, "list_alert_rules", "{}", traceparent=traceparent(trace_id, span_id))

        def look() -> dict[str, Exported]:
            found = {one.name: one for one in spans(collector, trace_id)}
            return found if {tool, rpc} <= found.keys() else {}

        found = wait_for(look, "the spans", 60)
    assert (found[tool].service, found[tool].parent_id) == ("monitors-mcp", span_id)
    assert (found[rpc].service, found[rpc].parent_id) == ("monitors", found[tool].id)
