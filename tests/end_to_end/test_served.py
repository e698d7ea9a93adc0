"""The three services as processes of their own, and the main job through the bridge for two tenants at once.

Once with everything in files of their own; once on MariaDB, Redis and InfluxDB, for users of a system that is there.
"""

import asyncio
import json
import os
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS
from mcp import StdioServerParameters
from mcp.client import Client
from standardwebhooks import Webhook

from tests import forked
from tests.identity.user_system import SECRET, UserSystem, UserTables
from tests.processes import BIN, Receiver, receiver, wait_for
from tests.served import ServedMesh, served_mesh
from tests.servers.backends import keeping_points
from tests.servers.influxdb import influx_server
from tests.servers.mariadb import shared_server
from tests.servers.redis import redis_server

pytestmark = pytest.mark.process
TENANTS = ("acme", "globex")

Write = Callable[[str, str, float], None]
"""Writes a response time now, of a tenant's monitor."""


def command(mesh: ServedMesh, tenant: str, *arguments: str) -> Any:
    """What `monitors … --json` of a tenant says; channels are asked of the notifier, all else of RuleService."""
    service = mesh.notifier if arguments[0] in ("channels", "deliveries") else mesh.rules
    done = forked.run(*arguments, "--json", environment=mesh.client_environment(service, tenant))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def walk(mesh: ServedMesh, tenant: str, monitor: str, hook: Receiver, write: Write) -> dict[str, Any]:
    """Makes a rule in a conversation, lets it fire and recover; gives the alert as it was listed while it fired."""

    async def until(look: Callable[[], Any], what: str) -> Any:
        return await asyncio.to_thread(wait_for, look, what, 30)

    made_channel = await asyncio.to_thread(command, mesh, tenant, "channels", "create", "ops", "--webhook", hook.url)
    secret = made_channel["webhook_secret"]
    server = StdioServerParameters(command=str(BIN / "monitors-mcp"), env=mesh.client_environment(mesh.rules, tenant))
    async with Client(server) as client:

        async def call(tool: str, **arguments: Any) -> dict[str, Any]:
            result: Any = await client.call_tool(tool, arguments)
            assert not result.is_error, result.content
            return dict(result.structured_content)

        async def is_known() -> bool:
            await asyncio.to_thread(write, tenant, monitor, 120.0)
            known = await call("list_alert_rules", include="monitors")
            return monitor in str(known) and "response_time" in str(known)

        deadline = time.monotonic() + 30
        while not await is_known():
            assert time.monotonic() < deadline, "the monitor never became known"
        title = f"Checkout of {tenant} is slow"
        made = await call(
            "create_alert_rule", monitor=monitor, title=title, condition="response_time > 500", severity="high",
            notify=["ops"], interval="10s", cooldown="0s",
        )  # fmt: skip
        await asyncio.to_thread(write, tenant, monitor, 730.5)
        (firing,) = await until(lambda: hook.of_type("alert.firing"), f"the firing webhook of {tenant}")
        Webhook(secret).verify(firing.body, {name.lower(): value for name, value in firing.headers.items()})
        (alert,) = (await call("list_alerts", rule_id=made["rule"]["id"]))["alerts"]
        taken = await call("acknowledge_alert", alert_id=alert["id"], note=f"{tenant} looks into it")
        assert taken["acknowledged"] == [alert["id"]]
        await asyncio.to_thread(write, tenant, monitor, 90.0)
        await until(lambda: hook.of_type("alert.resolved"), f"the resolved webhook of {tenant}")
        assert len(hook.of_type("alert.firing")) == 1
    return dict(alert)


def walk_both(mesh: ServedMesh, write: Write) -> None:
    """The walk of both tenants at once; neither sees anything of the other's."""
    with receiver() as acme, receiver() as globex, ThreadPoolExecutor(2) as pool:
        hooks = dict(zip(TENANTS, (acme, globex), strict=True))

        def walked(tenant: str) -> dict[str, Any]:
            return asyncio.run(walk(mesh, tenant, f"shop-{tenant}", hooks[tenant], write))

        alerts = dict(zip(TENANTS, pool.map(walked, TENANTS), strict=True))
        for tenant, other in (TENANTS, TENANTS[::-1]):
            assert all(other.encode() not in delivery.body for delivery in hooks[tenant].deliveries)
            listed = command(mesh, tenant, "alerts", "list")["alerts"]
            assert [one["id"] for one in listed] == [alerts[tenant]["id"]]


def test_two_tenants_work_on_one_mesh_that_keeps_all_itself(tmp_path: Path) -> None:
    environment = {"MONITORS_TENANTS": ",".join(TENANTS), "MONITORS_ALLOW_LOCAL_TARGETS": "1", **keeping_points()}
    with served_mesh(tmp_path, environment) as mesh:

        def write(tenant: str, monitor: str, value: float) -> None:
            url = f"http://127.0.0.1:{mesh.http_port}"
            with InfluxDBClient(url, token=mesh.key(tenant), org="any") as client:
                point = Point("website_check").tag("monitor_id", monitor).field("response_time", value)
                client.write_api(write_options=SYNCHRONOUS).write("any", record=point.time(time.time_ns()))

        walk_both(mesh, write)


def test_two_users_of_a_system_that_is_there_work_on_mariadb_redis_and_influxdb(tmp_path: Path) -> None:
    with redis_server() as redis, influx_server(tmp_path / "influx") as influx:
        mariadb = shared_server()
        database, users = mariadb.create_database(), UserTables(mariadb.url(mariadb.create_database()))
        users.make()
        environment = {
            "DATABASE_URL": mariadb.url(database), "REDIS_URL": redis.url, "INFLUXDB_URL": influx.url,
            "JWT_SECRET": SECRET, "IDENTITY_DATABASE_URL": users.url, "MONITORS_ALLOW_LOCAL_TARGETS": "1",
            "MONITORS_INFLUXDB_POLL_SECONDS": "0.3", "MONITORS_INFLUXDB_LATENESS_SECONDS": "1",
        }  # fmt: skip
        upgraded = subprocess.run(
            [str(BIN / "monitors"), "db", "upgrade"], env={**os.environ, **environment}, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip
        assert upgraded.returncode == 0, upgraded.stderr
        with served_mesh(tmp_path / "home", environment) as mesh:
            system = UserSystem(users, redis.client)
            for tenant in TENANTS:
                mesh.credentials[tenant] = system.sign_in(f"user_{tenant}").token
                users.add_monitor(f"shop-{tenant}", f"user_{tenant}")

            def write(_: str, monitor: str, value: float) -> None:
                influx.write(f"website_check,monitor_id={monitor} response_time={value} {time.time_ns()}")

            walk_both(mesh, write)
            for process in mesh.processes:
                assert SECRET not in process.text
