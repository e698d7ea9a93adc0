"""Rules in git as the README shows them: tested without a mesh, applied to a running one, changed, pruned."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS

from tests.processes import MeshProcess, running_mesh, wait_for

README = Path(__file__).parents[2] / "README.md"


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    with running_mesh(tmp_path_factory.mktemp("home")) as process:
        yield process


@pytest.fixture
def example(tmp_path: Path) -> Path:
    """The README's file."""
    section = README.read_text().partition("## Rules in git\n")[2].partition("\n## ")[0]
    lines = section.partition("`web.yaml`:\n\n")[2].splitlines(keepends=True)
    block = []
    for line in lines:
        if line.strip() and not line.startswith("    "):
            break
        block.append(line)
    file = tmp_path / "web.yaml"
    file.write_text(dedent("".join(block)))
    return file


def write(mesh: MeshProcess, *values: float) -> None:
    with InfluxDBClient(f"http://127.0.0.1:{mesh.http_port}", token=mesh.key, org="monitors") as client:
        now = time.time_ns()
        records = [
            Point("website_check").tag("monitor_id", "shop").field("response_time", value).time(now - after * 10**9)
            for after, value in enumerate(reversed(values))
        ]
        client.write_api(write_options=SYNCHRONOUS).write("monitors", record=records)


def applied(mesh: MeshProcess, file: Path, *words: str) -> dict[str, str]:
    """What an apply does, by key."""
    document: Any = mesh.json("rules", "apply", str(file), "--yes", *words)
    return {change["key"]: change["action"] for change in document["changes"]}


def test_the_example_passes_its_tests_and_fails_as_shown_when_one_is_wrong(mesh: MeshProcess, example: Path) -> None:
    passed = mesh.command("rules", "test", str(example))
    assert (passed.returncode, passed.stdout.splitlines()[-1]) == (0, "1 passed, 0 failed")
    example.write_text(example.read_text().replace("14m..27m30s", "14m..28m"))
    failed = mesh.command("rules", "test", str(example))
    assert failed.returncode == 1
    told = failed.stdout.replace(str(example), "web.yaml")
    assert "".join(f"    {line}\n" for line in told.splitlines()) in README.read_text()


def test_a_file_is_applied_fires_is_changed_exported_and_pruned(mesh: MeshProcess, example: Path) -> None:
    write(mesh, 120.0)
    refused = mesh.command("rules", "apply", str(example), "--check")
    assert (refused.returncode, "2 to make" in refused.stdout) == (1, True)
    assert applied(mesh, example) == {"web/shop-is-silent": "create", "web/shop-is-slow": "create"}
    assert applied(mesh, example) == {}

    text = example.read_text()
    example.write_text(text.replace("    for: 2m\n", "").replace("avg(response_time, 5m)", "response_time"))
    assert applied(mesh, example) == {"web/shop-is-slow": "change"}
    write(mesh, 900.0)

    def alert() -> Any:
        return next(iter(mesh.json("alerts", "list")["alerts"]), None)

    fired = wait_for(alert, "the alert")
    assert (fired["title"], fired["state"], fired["labels"]) == ("Shop is slow", "firing", {"team": "web"})
    example.write_text(example.read_text().replace("severity: high\n    labels", "severity: critical\n    labels"))
    shown = mesh.command("rules", "apply", str(example), "--dry-run").stdout
    assert "".join(f"    {line}\n" for line in shown.splitlines()) in README.read_text()
    assert applied(mesh, example) == {"web/shop-is-slow": "change"}

    exported = example.parent / "exported.yaml"
    assert mesh.command("rules", "export", str(exported), "--namespace", "web").returncode == 0
    assert applied(mesh, exported) == {}

    example.write_text("namespace: web\nrules: []\n")
    document = json.loads(mesh.command("rules", "apply", str(example), "--prune", "--yes", "--json").stdout)
    assert [change["resolved_alert_count"] for change in document["changes"]] == [0, 1]
    assert alert()["state"] == "resolved"
