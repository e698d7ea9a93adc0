"""`alerts://firing` by push, from the real RuleService: soon, to those whose alerts they are, and through restarts."""

import json
import queue
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest
from mcp.client.subscriptions import ListenNotSupportedError
from mcp.shared.exceptions import MCPDeprecationWarning, MCPError

from monitors.v1 import rule_service_pb2 as pb
from tests.bridge.conftest import HttpBridge
from tests.bridge.listening import FIRING, Listener, client_over, listening, listening_over
from tests.bridge.tenants import local_tenant_of, tenant_of
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.rules.client import FIRING as FIRES
from tests.rules.client import RESOLVED
from tests.rules.client import Client as Tenant
from tests.rules.running import Running, running

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def http_bridge(service: Running) -> Iterator[HttpBridge]:
    """A bridge with no key of its own."""
    bridge = HttpBridge(MONITORS_SERVER=f"127.0.0.1:{service.port}", MONITORS_HOME="/nonexistent")
    yield bridge
    bridge.close()


Listen = Callable[..., AbstractContextManager[Listener]]


@pytest.fixture(params=["stdio", "http"])
def listen(
    request: pytest.FixtureRequest, service: Running, http_bridge: HttpBridge, loop_thread: LoopThread
) -> Listen:
    """Listens as a tenant over one of the transports."""

    def opened(key: str, *uris: str) -> AbstractContextManager[Listener]:
        return loop_thread.opened(listening_over(request.param, http_bridge.url, service.port, key, *uris))

    return opened


def read(loop_thread: LoopThread, listener: Listener) -> dict[str, Any]:
    async def reading() -> Any:
        return (await listener.client.read_resource(FIRING)).contents[0]

    answer: dict[str, Any] = json.loads(loop_thread.run(reading()).text)
    return answer


def test_what_fires_is_acknowledged_and_resolved_is_told_within_a_second(
    listen: Listen, tenant: Tenant, loop_thread: LoopThread
) -> None:
    rule = tenant.create()
    with listen(tenant.key) as listener:
        start, episode = time.monotonic(), time.time_ns()
        alert_id = tenant.fire(rule, episode)
        assert listener.told() - start <= 1
        assert [alert["id"] for alert in read(loop_thread, listener)["alerts"]] == [alert_id]

        start = time.monotonic()
        tenant.call(pb.AcknowledgeAlertsRequest(alert_ids=[alert_id]))
        assert listener.told() - start <= 1
        assert read(loop_thread, listener)["alerts"][0]["acknowledged_by"]

        start = time.monotonic()
        tenant.record(tenant.transition(rule, RESOLVED, time.time_ns(), episode=episode))
        assert listener.told() - start <= 1
        assert read(loop_thread, listener) == {"alerts": [], "total": 0}
        assert listener.updates.empty()


def test_nobody_hears_of_another_tenants_alerts(
    service: Running, listen: Listen, tenant: Tenant, loop_thread: LoopThread
) -> None:
    with tenant_of(service, loop_thread) as other, listen(tenant.key) as listener, listen(other.key) as others:
        alert_id = other.fire(other.create())
        others.told()
        # What comes after it tells that nothing came before.
        own_id = tenant.fire(tenant.create())
        listener.told()
        with pytest.raises(queue.Empty):
            listener.updates.get(timeout=0.6)
        with pytest.raises(queue.Empty):
            others.updates.get(timeout=0.1)
        assert [alert["id"] for alert in read(loop_thread, listener)["alerts"]] == [own_id]
        assert [alert["id"] for alert in read(loop_thread, others)["alerts"]] == [alert_id]


def test_a_storm_of_alerts_is_few_updates_and_all_who_listen_get_them(listen: Listen, tenant: Tenant) -> None:
    rule = tenant.create()
    with listen(tenant.key) as one, listen(tenant.key) as other:
        now = time.time_ns()
        tenant.record(*(tenant.transition(rule, FIRES, now, group={"cpu": str(number)}) for number in range(3_000)))
        for listener in (one, other):
            listener.told()
            assert _updates_until_quiet(listener) < 20
            assert not listener.ended.is_set()


def _updates_until_quiet(listener: Listener) -> int:
    for count in range(1_000):
        try:
            listener.updates.get(timeout=1)
        except queue.Empty:
            return count
    raise AssertionError("the updates don't end")


def test_what_isnt_pushed_isnt_promised(listen: Listen, tenant: Tenant) -> None:
    with listen(tenant.key, FIRING, "rule://rule_1", "docs://conditions") as listener:
        assert listener.honored == [FIRING]
    with listen(tenant.key, "docs://conditions") as listener:
        assert listener.honored == []


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_wrong_key_is_refused_with_what_to_do_and_the_session_goes_on(
    transport: str, service: Running, http_bridge: HttpBridge, loop_thread: LoopThread
) -> None:
    async def scenario() -> None:
        async with client_over(transport, http_bridge.url, service.port, "alk_wrong") as client:
            # Over HTTP the key is the client's own, and not from the bridge's environment.
            with pytest.raises(MCPError, match="MONITORS_KEY" if transport == "stdio" else "begins with `alk_`"):
                async with listening(client):
                    pass
            assert len((await client.list_tools()).tools) == 6

    loop_thread.run(scenario())


def test_the_legacy_protocol_has_no_push(
    service: Running, http_bridge: HttpBridge, tenant: Tenant, loop_thread: LoopThread
) -> None:
    async def scenario() -> None:
        for transport in ("stdio", "http"):
            async with client_over(transport, http_bridge.url, service.port, tenant.key, "legacy") as client:
                with pytest.warns(MCPDeprecationWarning), pytest.raises(MCPError, match="Method not found"):
                    await client.session.subscribe_resource(FIRING)
                with pytest.raises(ListenNotSupportedError):
                    async with client.listen(resource_subscriptions=[FIRING]):
                        pass

    loop_thread.run(scenario())


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_restart_of_rule_service_is_survived(transport: str, tmp_path: Path, loop_thread: LoopThread) -> None:
    with loop_thread.opened(running(tmp_path)) as service:
        port = service.port
    # The mesh is away at first.
    with (
        closing(HttpBridge(MONITORS_SERVER=f"127.0.0.1:{port}")) as bridge,
        loop_thread.opened(listening_over(transport, bridge.url, port, service.local_key)) as listener,
    ):
        for _ in range(2):
            with (
                loop_thread.opened(running(tmp_path, port=port)) as service,
                local_tenant_of(service, loop_thread) as tenant,
            ):
                # What happened meanwhile isn't known.
                listener.told()
                tenant.fire(tenant.create())
                listener.told()


def test_the_bridge_stops_at_once_though_somebody_listens(
    service: Running, tenant: Tenant, loop_thread: LoopThread
) -> None:
    with (
        closing(HttpBridge(MONITORS_SERVER=f"127.0.0.1:{service.port}")) as bridge,
        loop_thread.opened(listening_over("http", bridge.url, service.port, tenant.key)) as listener,
    ):
        start = time.monotonic()
        bridge.close()
        assert time.monotonic() - start < 3
        wait_for(listener.ended.is_set, "the graceful end")
