"""The backend, and clients that talk to the bridge over each of its transports."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import grpc
import pytest
from mcp import Client, StdioServerParameters
from mcp_types import CallToolResult, TextContent

from monitors.bridge.server import BridgeServer, build_server
from monitors.bridge.settings import MeshSettings
from monitors.v1 import monitor_pb2
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests import forked
from tests.bridge.backend import Backend, open_backend
from tests.bridge.tenants import tenant_of
from tests.harness import LoopThread
from tests.processes import wait_for
from tests.rules.client import Client as Tenant
from tests.rules.running import Running, running

T = TypeVar("T")
COMMAND = str(Path(sys.executable).parent / "monitors-mcp")
ERAS = ("auto", "legacy")


@pytest.fixture
def backend(loop_thread: LoopThread) -> Iterator[Backend]:
    with loop_thread.opened(open_backend()) as opened:
        yield opened


@pytest.fixture
def settings(backend: Backend) -> MeshSettings:
    return MeshSettings(address=f"127.0.0.1:{backend.port}", key="local-key")


@dataclass(frozen=True)
class Answer:
    """What a tool answered."""

    text: str
    data: dict[str, Any]
    is_error: bool


def answer_of(result: Any) -> Answer:
    assert isinstance(result, CallToolResult)
    block = result.content[0]
    assert isinstance(block, TextContent)
    return Answer(block.text, result.structured_content or {}, bool(result.is_error))


@dataclass(frozen=True)
class Tools:
    """Calls tools of an in-process bridge, each call on a session of its own."""

    loop_thread: LoopThread
    settings: MeshSettings
    options: dict[str, Any]

    @cached_property
    def server(self) -> BridgeServer:
        return build_server(self.settings)

    def __call__(self, name: str, **arguments: Any) -> Answer:
        async def call(client: Client) -> Answer:
            return answer_of(await client.call_tool(name, arguments))

        return self.with_client(call)

    def with_client(self, use: Callable[[Client], Awaitable[T]], **options: Any) -> T:
        async def scenario() -> T:
            async with Client(self.server, **{**self.options, **options}) as client:
                return await use(client)

        return self.loop_thread.run(scenario())

    def error(self, name: str, **arguments: Any) -> str:
        """The text of a call that must fail."""
        answer = self(name, **arguments)
        assert answer.is_error, answer.text
        return answer.text

    def success(self, name: str, **arguments: Any) -> Answer:
        """The answer of a call that must succeed, text and data both."""
        answer = self(name, **arguments)
        assert not answer.is_error, answer.text
        assert answer.data
        return answer


@pytest.fixture(params=ERAS)
def tools_of_both_eras(request: pytest.FixtureRequest, loop_thread: LoopThread, settings: MeshSettings) -> Tools:
    return Tools(loop_thread, settings, {"mode": request.param})


@pytest.fixture
def tools(loop_thread: LoopThread, settings: MeshSettings) -> Tools:
    return Tools(loop_thread, settings, {})


def stdio_parameters(**environment: str) -> StdioServerParameters:
    return StdioServerParameters(command=COMMAND, env=environment)


@dataclass(frozen=True)
class RealService:
    """A RuleService that runs, and one that speaks to it as the mesh does."""

    settings: MeshSettings
    client: Tenant


@pytest.fixture(scope="module")
def real_service(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealService]:
    """RuleService with two monitors and the channels `ops`, which is the default, and `night`."""
    with (
        loop_thread.opened(running(tmp_path_factory.mktemp("home"))) as opened,
        grpc.insecure_channel(f"127.0.0.1:{opened.port}") as channel,
    ):
        settings = MeshSettings(address=f"127.0.0.1:{opened.port}", key=opened.local_key)
        client = Tenant(RuleServiceStub(channel), "local", opened.local_key, opened.rules, loop_thread)
        for monitor in ("mon_host", "mon_web"):
            names = ("cpu_percent", "load", "load1", "response_time", "price")
            client.report(monitor, [("system", name, monitor_pb2.FIELD_TYPE_FLOAT) for name in names])
        client.mirror(("ops", True), ("night", False))
        yield RealService(settings, client)


@pytest.fixture(scope="module")
def real(loop_thread: LoopThread, real_service: RealService) -> Tools:
    """The tools on a real RuleService."""
    return Tools(loop_thread, real_service.settings, {})


HTTP_COMMAND = (COMMAND, "--http", "--port", "0")


class HttpBridge:
    """`monitors-mcp --http` as a process, or another command that says where it serves as that does."""

    def __init__(self, *arguments: str, command: Sequence[str] = HTTP_COMMAND, **environment: str) -> None:
        # A file, since a pipe that nobody reads fills up and holds the process.
        self._output = tempfile.TemporaryFile("w+")  # noqa: SIM115
        known = {**os.environ, **environment}
        self._process: subprocess.Popen[bytes] | forked.Forked
        if command == HTTP_COMMAND:
            output = self._output.fileno()
            words = (*HTTP_COMMAND[1:], *arguments)
            self._process = forked.launch("monitors-mcp", *words, environment=known, stdout=output, stderr=output)
        else:
            self._process = subprocess.Popen([*command, *arguments], env=known, stderr=self._output)
        wait_for(lambda: self._port() or self._process.poll() is not None, "the bridge")
        assert self._port(), self.output
        self.url = f"http://127.0.0.1:{self._port()}/mcp"

    @property
    def output(self) -> str:
        """What it has written."""
        self._output.seek(0)
        return self._output.read()

    def _port(self) -> str:
        match = re.search(r"http://\S+:(\d+)/mcp", self.output)
        return match[1] if match else ""

    def close(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait(20)
        self._output.close()


@pytest.fixture(scope="module")
def module_backend(loop_thread: LoopThread) -> Iterator[Backend]:
    """A backend for processes that serve all tests of a file."""
    with loop_thread.opened(open_backend()) as opened:
        yield opened


@pytest.fixture(scope="module")
def environment(module_backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Where the mesh is. The key is in its home."""
    home = tmp_path_factory.mktemp("home")
    (home / "key").write_text("local-key\n")
    return {"MONITORS_SERVER": f"127.0.0.1:{module_backend.port}", "MONITORS_HOME": str(home)}


@pytest.fixture(scope="module")
def http_bridge(environment: dict[str, str]) -> Iterator[HttpBridge]:
    bridge = HttpBridge(**environment)
    yield bridge
    bridge.close()


@pytest.fixture(params=["stdio", "http"])
def target(request: pytest.FixtureRequest, environment: dict[str, str], http_bridge: HttpBridge) -> Any:
    """Something that a Client connects to: the real command."""
    return stdio_parameters(**environment) if request.param == "stdio" else http_bridge.url


@pytest.fixture(scope="package")
def service(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One real RuleService for all tests; each test has tenants of its own."""
    with loop_thread.opened(running(tmp_path_factory.mktemp("rules"))) as opened:
        yield opened


@pytest.fixture
def tenant(service: Running, loop_thread: LoopThread) -> Iterator[Tenant]:
    with tenant_of(service, loop_thread) as made:
        yield made


@pytest.fixture
def other(service: Running, loop_thread: LoopThread) -> Iterator[Tenant]:
    """Another tenant."""
    with tenant_of(service, loop_thread) as made:
        yield made


BridgeOf = Callable[[str], Tools]


@pytest.fixture(params=ERAS)
def bridge_of(request: pytest.FixtureRequest, service: Running, loop_thread: LoopThread) -> BridgeOf:
    """A bridge with somebody's key."""

    def made(key: str) -> Tools:
        settings = MeshSettings(address=f"127.0.0.1:{service.port}", key=key)
        return Tools(loop_thread, settings, {"mode": request.param})

    return made


@pytest.fixture
def bridge(bridge_of: BridgeOf, tenant: Tenant) -> Tools:
    return bridge_of(tenant.key)
