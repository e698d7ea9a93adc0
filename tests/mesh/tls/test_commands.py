"""The whole mesh in one process speaks TLS, too, and the commands speak it with it."""

import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.certificates import Authority
from tests.deploy.containers import put_certificate
from tests.processes import BIN, MeshProcess, running_mesh

pytestmark = pytest.mark.process


@pytest.fixture
def mesh(tmp_path: Path) -> Iterator[MeshProcess]:
    files = put_certificate(tmp_path / "tls", Authority(tmp_path / "ca"), "alerting.example.org")
    environment = {**files, "MONITORS_TLS_SERVICES": "alerting.example.org"}
    with running_mesh(tmp_path / "home", "--no-host", environment=environment) as mesh:
        yield mesh


def _list_rules(environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    command = [str(BIN / "monitors"), "rules", "list"]
    return subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=60, check=False)


def test_the_command_asks_a_mesh_that_speaks_tls_by_its_certificate_alone(mesh: MeshProcess) -> None:
    assert mesh.json("rules", "list")["rules"] == []
    assert mesh.json("channels", "list")["channels"][0]["name"] == "console"
    without = {name: text for name, text in mesh.client_environment.items() if not name.startswith("MONITORS_TLS_")}
    refused = _list_rules(without)
    assert refused.returncode == 6, refused.stderr


def test_a_file_that_is_not_there_is_named_by_the_command(mesh: MeshProcess, tmp_path: Path) -> None:
    refused = _list_rules({**mesh.client_environment, "MONITORS_TLS_KEY_FILE": str(tmp_path / "nowhere")})
    assert refused.returncode == 2
    assert "MONITORS_TLS_KEY_FILE" in refused.stderr
