"""A tenant that floods the mesh, with points and with a rule that matches far too much, keeps nobody else waiting."""

import asyncio
import random
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from google.protobuf.duration_pb2 import Duration

from monitors.mesh.config import load_settings
from monitors.rules.main import open_rules
from monitors.v1.evaluator_service_pb2 import GetEvaluatorStatusRequest
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import CreateRuleRequest, ListAlertsRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.clients import rule_service
from tests.processes import MeshProcess, wait_for
from tests.servers.backends import addresses, keeping_points

SERIES, MOST_INSTANCES = 4_000, 1_000
WRITES, POINTS_A_WRITE = 60, 40_000
SENDERS = 8


def add_tenant(home: Path, tenant: str) -> str:
    """Makes a tenant while its mesh doesn't run, and returns its key."""
    home.mkdir(mode=0o700)

    async def work() -> str:
        settings = load_settings({"MONITORS_HOME": str(home), **addresses(home)})
        async with open_rules(settings.rules, asyncio.Event(), None) as rules:
            return await rules.add_tenant(tenant)

    return asyncio.run(work())


def write(mesh: MeshProcess, key: str, body: bytes) -> int:
    """Writes line protocol. Returns the status, 429 if there is too much of it already."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{mesh.http_port}/api/v2/write?org=o&bucket=b",
        data=body,
        headers={"Authorization": f"Token {key}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=100) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def rule(monitor: str) -> Rule:
    return Rule(monitor_id=monitor, title="v", condition_text="v > 10", interval=Duration(seconds=1))


def flood_body() -> bytes:
    """Points of many series of one monitor, in no order."""
    choice, now = random.Random(1), time.time_ns()
    return b"\n".join(
        b"m,monitor_id=flood,core=%d v=%d %d" % (choice.randrange(SERIES), choice.randrange(20), now + number)
        for number in range(POINTS_A_WRITE)
    )


def test_a_flood_of_one_tenant_delays_no_alert_of_another(tmp_path: Path) -> None:
    # Several tenants without a user system share no InfluxDB.
    environment = {"MONITORS_MAX_INSTANCES": str(MOST_INSTANCES), **keeping_points()}
    flood_key = add_tenant(tmp_path / "home", "flood")
    mesh = MeshProcess(tmp_path / "home", environment=environment)
    mesh.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{mesh.grpc_port}") as channel, rule_service(mesh) as ours:
            body = flood_body()
            assert write(mesh, mesh.key, b"m,monitor_id=quiet v=1") == 204
            assert write(mesh, flood_key, body) == 204
            ours.CreateRule(CreateRuleRequest(rule=rule("quiet")))
            flood_metadata = (("authorization", f"Bearer {flood_key}"),)
            RuleServiceStub(channel).CreateRule(CreateRuleRequest(rule=rule("flood")), metadata=flood_metadata)
            evaluator = EvaluatorServiceStub(channel)

            # Told to those whose rule it is, and to nobody else.
            def is_limit_told() -> bool:
                status = evaluator.GetEvaluatorStatus(GetEvaluatorStatusRequest(), metadata=flood_metadata)
                return any(f"{MOST_INSTANCES:,}" in problem for problem in status.problems)

            wait_for(is_limit_told, "the limit to be told", every=0.1)
            assert f"{MOST_INSTANCES:,}" not in mesh.command("status").stderr

            with ThreadPoolExecutor(SENDERS) as senders:
                flood = [senders.submit(write, mesh, flood_key, body) for _ in range(WRITES)]
                wait_for(lambda: any(one.done() for one in flood), "the first of the flood")
                assert write(mesh, mesh.key, b"m,monitor_id=quiet v=50") == 204
                wait_for(lambda: ours.ListAlerts(ListAlertsRequest()).alerts, "the alert")
                left = sum(not one.done() for one in flood)
                assert {one.result() for one in flood} <= {204, 429}
            assert left > SENDERS
            (alert,) = ours.ListAlerts(ListAlertsRequest()).alerts
            assert alert.monitor_id == "quiet"
    finally:
        mesh.stop()
