"""What the bridge adds to a call of RuleService: the same list of rules by gRPC, by HTTP and by stdio."""

import asyncio
import json
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import grpc
import numpy as np
from mcp import Client, StdioServerParameters

from benchmarks.evaluation.homes import make_tenants
from benchmarks.evaluation.processes import free_ports, serving_rules
from benchmarks.measure import say
from monitors.v1.monitor_pb2 import FIELD_TYPE_FLOAT
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import CreateRuleRequest, ListRulesRequest, RegisterMonitorRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.bridge.conftest import COMMAND, HttpBridge

REVISION = "2026-07-28"
RULES = 5
WARM_UP = 50
ARGUMENTS = {"limit": RULES}


@dataclass(frozen=True)
class Latency:
    """Milliseconds of a call, and how many calls a second were made, and how many of them failed."""

    p50: float
    p99: float
    rate: float
    errors: int

    def __str__(self) -> str:
        return f"p50 {self.p50:.2f} ms, p99 {self.p99:.1f} ms, {self.rate:,.0f} a second"


@dataclass(frozen=True)
class Calls:
    """The same calls by each way, one at a time or several at once."""

    concurrency: int
    grpc: Latency
    http: Latency
    stdio: Latency


def measure_calls(count: int, concurrencies: tuple[int, ...]) -> list[Calls]:
    """`count` calls by each way, at each concurrency. RuleService, the bridge and the client are a process each."""
    with _mesh() as (address, key):
        environment = {"MONITORS_SERVER": address, "MONITORS_KEY": key}
        bridge = HttpBridge(**environment)
        try:
            return [asyncio.run(_measure(address, key, bridge.url, count, number)) for number in concurrencies]
        finally:
            bridge.close()


@contextmanager
def _mesh() -> Iterator[tuple[str, str]]:
    with tempfile.TemporaryDirectory(prefix="monitors-bench-") as folder:
        home = Path(folder) / "home"
        (key,) = make_tenants(home, ["bench"])
        ports = free_ports(3)
        with serving_rules(home, ports):
            address = f"127.0.0.1:{ports[0]}"
            with grpc.insecure_channel(address) as channel:
                _make_rules(RuleServiceStub(channel), key)
            yield address, key


def _make_rules(stub: RuleServiceStub, key: str) -> None:
    metadata = _metadata(key)
    monitor = RegisterMonitorRequest(monitor_id="host")
    monitor.fields.add(measurement="system", field="cpu", type=FIELD_TYPE_FLOAT)
    stub.RegisterMonitor(monitor, metadata=metadata)
    for number in range(RULES):
        rule = Rule(
            monitor_id="host",
            title=f"Rule {number}",
            condition_text=f"cpu > {90 + number}",
        )
        stub.CreateRule(CreateRuleRequest(rule=rule), metadata=metadata)


def _metadata(key: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {key}"),)


async def _measure(address: str, key: str, url: str, count: int, concurrency: int) -> Calls:
    say(f"{count:,} calls by each way, {concurrency} at once")
    return Calls(
        concurrency,
        await _by_grpc(address, key, count, concurrency),
        await _by_http(url, count, concurrency),
        await _by_stdio(address, key, count, concurrency),
    )


async def _by_grpc(address: str, key: str, count: int, concurrency: int) -> Latency:
    request = ListRulesRequest(page_size=RULES)
    async with grpc.aio.insecure_channel(address) as channel:
        stub = RuleServiceStub(channel)

        async def call() -> bool:
            return len((await stub.ListRules(request, metadata=_metadata(key))).rules) == RULES

        return await _timed(call, count, concurrency)


async def _by_http(url: str, count: int, concurrency: int) -> Latency:
    """As a plain HTTP client says it: the SDK's own would take longer than the bridge."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientInfo": {"name": "bench", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    parameters = {"name": "list_alert_rules", "arguments": ARGUMENTS, "_meta": meta}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": parameters})
    headers = {
        "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": REVISION, "Mcp-Method": "tools/call", "Mcp-Name": "list_alert_rules",
    }  # fmt: skip
    async with aiohttp.ClientSession(headers=headers) as session:

        async def call() -> bool:
            async with session.post(url, data=body) as answer:
                return answer.status == 200 and b'"isError":true' not in await answer.read()

        return await _timed(call, count, concurrency)


async def _by_stdio(address: str, key: str, count: int, concurrency: int) -> Latency:
    server = StdioServerParameters(command=COMMAND, env={"MONITORS_SERVER": address, "MONITORS_KEY": key})
    async with Client(server) as client:

        async def call() -> bool:
            return not (await client.call_tool("list_alert_rules", ARGUMENTS)).is_error

        return await _timed(call, count, concurrency)


async def _timed(call: Callable[[], Awaitable[bool]], count: int, concurrency: int) -> Latency:
    for _ in range(WARM_UP):
        await call()
    times: list[float] = []
    errors = 0

    async def work(share: int) -> None:
        nonlocal errors
        for _ in range(share):
            start = time.perf_counter()
            errors += not await call()
            times.append(time.perf_counter() - start)

    start = time.perf_counter()
    await asyncio.gather(*(work(count // concurrency) for _ in range(concurrency)))
    seconds = time.perf_counter() - start
    p50, p99 = np.percentile(np.array(times) * 1e3, [50, 99])
    return Latency(float(p50), float(p99), len(times) / seconds, errors)
