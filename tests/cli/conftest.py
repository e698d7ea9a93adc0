"""The command, run against a mesh in memory, or against the real RuleService."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from monitors.cli.main import app
from monitors.mesh.config import RulesSettings
from monitors.mesh.server import MeshServer
from monitors.rules.main import open_rules
from monitors.v1.monitor_pb2 import FieldType, MonitorField
from monitors.v1.rule_service_pb2 import RegisterMonitorRequest
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.cli.memory_mesh import KEY, MemoryMesh, open_memory_mesh
from tests.harness import LoopThread
from tests.notifier.world import World, running
from tests.servers.backends import database_url


@dataclass(frozen=True)
class Outcome:
    """What one run of the command left."""

    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> Any:
        """Stdout as the one JSON document that it must be."""
        return json.loads(self.stdout)


@dataclass(frozen=True)
class Command:
    """The command with its environment. `environment` is what a subprocess needs."""

    environment: dict[str, str | None]

    def __call__(self, *arguments: str, ok: bool = True, **environment: str) -> Outcome:
        """Runs it; `ok` demands success."""
        result = CliRunner().invoke(app, list(arguments), env={**self.environment, **environment})
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        outcome = Outcome(result.exit_code, result.stdout, result.stderr)
        assert outcome.code == 0 or not ok, outcome
        return outcome


@pytest.fixture
def mesh(loop_thread: LoopThread) -> Iterator[MemoryMesh]:
    with loop_thread.opened(open_memory_mesh()) as opened:
        yield opened


@pytest.fixture
def monitors(mesh: MemoryMesh, tmp_path: Path) -> Command:
    return Command(
        {
            "MONITORS_SERVER": f"127.0.0.1:{mesh.port}",
            "MONITORS_KEY": KEY,
            "MONITORS_HOME": str(tmp_path / "home"),
            "MONITORS_GRPC_PORT": None,
            "COLUMNS": "100",
        }
    )


@asynccontextmanager
async def rule_service(home: Path) -> AsyncIterator[int]:
    """The real service with its key in `home`."""
    closing = asyncio.Event()
    async with open_rules(RulesSettings(database_url(home / "rules.db")), closing, None) as rules:
        await rules.ensure_local_key(home / "key")
        server = MeshServer(rules.authenticate, closing)
        server.host(rules)
        (port,) = await server.start(["127.0.0.1:0"], variable="MONITORS_GRPC_PORT")
        yield port
        await server.stop()


@pytest.fixture(scope="module")
def local(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Command]:
    """The command on a local mesh, found as a person's would be: by its port and its home."""
    home = tmp_path_factory.mktemp("home")
    with loop_thread.opened(rule_service(home)) as port:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            field = MonitorField(measurement="cpu", field="cpu_percent", type=FieldType.FIELD_TYPE_FLOAT)
            metadata = (("authorization", f"Bearer {(home / 'key').read_text().strip()}"),)
            request = RegisterMonitorRequest(monitor_id="mon_host", fields=[field])
            RuleServiceStub(channel).RegisterMonitor(request, metadata=metadata)
        environment = {
            "MONITORS_SERVER": None, "MONITORS_KEY": None, "MONITORS_HOME": str(home), "MONITORS_GRPC_PORT": str(port)
        }  # fmt: skip
        yield Command(environment)


@pytest.fixture
def notifier(loop_thread: LoopThread, tmp_path: Path) -> Iterator[World]:
    with running(loop_thread, tmp_path) as opened:
        yield opened


@pytest.fixture
def told(notifier: World, tmp_path: Path) -> Command:
    """The command with a key of the tenant `acme`, at the real notifier."""
    return Command(
        {
            "MONITORS_SERVER": f"127.0.0.1:{notifier.port}",
            "MONITORS_KEY": "acme",
            "MONITORS_HOME": str(tmp_path / "home"),
            "MONITORS_GRPC_PORT": None,
            "COLUMNS": "160",
        }
    )
