"""The command, run against a mesh in memory."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from monitors.cli.main import app
from tests.cli.memory_mesh import KEY, MemoryMesh, open_memory_mesh
from tests.harness import LoopThread


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
