"""monitors-mcp as somebody installs it: its wheel with what it declares, and nothing of the operator's half."""

import subprocess
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters

from tests.bridge.installations import ROOT, Installation, install
from tests.harness import LoopThread

pytestmark = pytest.mark.process

DECLARED = {
    "monitors_mcp": {
        "mcp>=2.3", "monitors-protos",
        # Only for who asks for `monitors-mcp[telemetry]`.
        "opentelemetry-exporter-otlp-proto-http>=1.45; extra == 'telemetry'",
        "opentelemetry-sdk>=1.45; extra == 'telemetry'",
    },
    "monitors_protos": {"grpcio>=1.76", "protobuf>=6.31.1"},
}  # fmt: skip
# All that these bring along. What is new here is a choice, and what is gone may go from this list.
RESOLVED = {
    "annotated-types", "anyio", "attrs", "cffi", "click", "cryptography", "grpcio", "h11", "httpcore2", "httpx2",
    "idna", "jsonschema", "jsonschema-specifications", "mcp", "mcp-types", "monitors-mcp", "monitors-protos",
    "opentelemetry-api", "protobuf", "pycparser", "pydantic", "pydantic-core", "pyjwt", "python-multipart",
    "referencing", "rpds-py", "sse-starlette", "starlette", "truststore", "typing-extensions", "typing-inspection",
    "uvicorn",
}  # fmt: skip
FOREIGN = ("sqlalchemy", "pymysql", "redis", "influxdb_client", "opentelemetry.sdk", "aiohttp", "numpy", "matplotlib")


@pytest.fixture(scope="module")
def installation(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return install(tmp_path_factory.mktemp("install"), "monitors-protos", "monitors-mcp")


def test_it_declares_mcp_and_the_contract_alone(installation: Installation) -> None:
    declared = {}
    for wheel in (installation.folder.parent / "wheels").glob("*/*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            headers = Parser().parsestr(archive.read(metadata).decode())
        declared[wheel.name.split("-")[0]] = set(headers.get_all("Requires-Dist", []))
    assert declared == DECLARED


def test_what_comes_with_it_is_known(installation: Installation, figure: Callable[[str], None]) -> None:
    figure(f"monitors-mcp installed: {len(RESOLVED)} packages, {installation.size() / 1e6:.0f} MB")
    assert installation.packages() == RESOLVED


def test_nothing_of_the_services_is_there(installation: Installation) -> None:
    ours = [path.name for path in (ROOT / "services" / "monitors").iterdir() if any(path.glob("*.py"))]
    assert {"mesh", "rules", "evaluator", "notifier"} <= set(ours)
    code = """
import importlib, sys
importlib.import_module("monitors.bridge.main")
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    print(name)
"""
    names = [*(f"monitors.{name}" for name in ours), *FOREIGN]
    done = subprocess.run(
        [installation.python, "-c", code, *names], cwd="/", capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == ""


def test_the_command_explains_itself(installation: Installation) -> None:
    command = [installation.command("monitors-mcp"), "--help"]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=60, check=True)
    assert "MONITORS_SERVER" in done.stdout


def test_the_tools_are_listed_over_stdio(installation: Installation, loop_thread: LoopThread, tmp_path: Path) -> None:
    async def names() -> list[str]:
        parameters = StdioServerParameters(command=installation.command("monitors-mcp"), cwd=tmp_path)
        async with Client(parameters) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    assert len(loop_thread.run(names())) == 6
