"""The protocol's own conformance suite: on the shipped server, and on the same server with the suite's fixtures."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from mcp import Client
from mcp_types import ServerCapabilities

from tests.bridge.conftest import HttpBridge
from tests.bridge.npm import npm_command
from tests.harness import LoopThread
from tests.rules.running import running

pytestmark = pytest.mark.process

SUITE = "@modelcontextprotocol/conformance@0.2.0-alpha.12"
# Revision: how many scenarios it requires of a server, and how many of those need no fixture of the suite's.
REVISIONS = {"2026-07-28": (37, 14), "2025-11-25": (30, 10)}
# Scenarios without fixtures that only a server with this capability can pass.
NEEDS_CAPABILITY = {"completion-complete": "completions"}
RUN_SECONDS = 180


# One of the suite's runs takes ten seconds on two cores.
RUN_SECONDS = 180


@pytest.fixture(scope="module")
def shipped(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HttpBridge]:
    """`monitors-mcp --http` on a real RuleService."""
    folder = tmp_path_factory.mktemp("rules")
    with loop_thread.opened(running(folder)) as service:
        bridge = HttpBridge(MONITORS_SERVER=f"127.0.0.1:{service.port}", MONITORS_HOME=str(folder / "home"))
        yield bridge
        bridge.close()


@pytest.fixture(scope="module")
def with_fixtures() -> Iterator[HttpBridge]:
    bridge = HttpBridge(command=(sys.executable, "-m", "tests.bridge.conformance.fixtures"))
    yield bridge
    bridge.close()


@dataclass(frozen=True)
class Report:
    """What a run of the suite said of the scenarios that the revision requires of a server."""

    passed: set[str]
    failed: set[str]
    text: str
    status: int


def suite(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [*npm_command(SUITE, "conformance"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS)


def run_suite(url: str, revision: str, folder: Path, *options: str) -> Report:
    scenarios, _, _ = suite("list", "--requirements", revision).stdout.partition("Client scenarios")
    required = set(re.findall(r"^  - (\S+)", scenarios, re.MULTILINE))
    done = suite("server", "--url", url, "--requirements", revision, "--output-dir", str(folder), *options)
    text = done.stdout + done.stderr
    failures = dict(re.findall(r"^\W*([a-z0-9-]+): \d+ passed, (\d+) failed", text, re.MULTILINE))
    failed = {name for name in required if int(failures[name])}
    return Report(required - failed, failed, text, done.returncode)


def expected_failures(url: str, revision: str, folder: Path) -> tuple[Path, set[str]]:
    """The file for the suite, and the scenarios in it."""

    async def capabilities() -> ServerCapabilities:
        async with Client(url) as client:
            assert client.server_capabilities is not None
            return client.server_capabilities

    known = yaml.safe_load((Path(__file__).parent / f"expected-failures-{revision}.yml").read_text())["server"]
    declared = asyncio.run(capabilities())
    known += [name for name, capability in NEEDS_CAPABILITY.items() if getattr(declared, capability) is None]
    file = folder / "expected-failures.yml"
    file.write_text(yaml.safe_dump({"server": known}))
    return file, {name.partition(":")[0] for name in known}


@pytest.mark.parametrize("revision", REVISIONS)
def test_the_shipped_server_passes_every_scenario_without_fixtures(
    shipped: HttpBridge, revision: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    file, expected = expected_failures(shipped.url, revision, tmp_path)
    report = run_suite(shipped.url, revision, tmp_path / "out", "--expected-failures", str(file))
    required, without_fixtures = REVISIONS[revision]
    figure(
        f"conformance {revision}, shipped: {len(report.passed)} of {without_fixtures} scenarios without fixtures "
        f"pass, {len(report.failed - expected)} fail unexpectedly"
    )
    assert report.status == 0, report.text[-5_000:]
    assert report.failed <= expected
    assert len(report.passed | report.failed) == required
    assert len(report.passed) == without_fixtures - len(expected & NEEDS_CAPABILITY.keys())


@pytest.mark.parametrize("revision", REVISIONS)
def test_with_the_suites_fixtures_the_same_server_passes_all(
    with_fixtures: HttpBridge, revision: str, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    report = run_suite(with_fixtures.url, revision, tmp_path / "out")
    required = REVISIONS[revision][0]
    figure(f"conformance {revision}, with the suite's fixtures: {len(report.passed)} of {required} scenarios pass")
    assert (len(report.passed), report.failed) == (required, set()), report.text[-5_000:]
