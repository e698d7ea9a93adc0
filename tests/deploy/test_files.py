"""The files beside the templates: alerts, dashboard, versions, and what isn't to be in an image."""

import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.deploy.rendered import CHART, ROOT, of_kind
from tests.metrics.table import PAGE

ALERTS = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text())
DASHBOARD = json.loads((CHART / "files" / "dashboard.json").read_text())
OF_EVERY_PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}
NAME = re.compile(r"\b((?:monitors|grpc_server|process)_[a-z_]+)\b")


def _rules() -> Iterator[dict[str, Any]]:
    for group in ALERTS["groups"]:
        yield from group["rules"]


def _expressions() -> Iterator[str]:
    yield from (rule["expr"] for rule in _rules())
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))


def test_alerts_and_dashboard_ask_for_metrics_that_there_are() -> None:
    documented = set(re.findall(r"^\| `(\w+)`", PAGE.read_text(), re.MULTILINE)) | OF_EVERY_PROCESS
    asked = {name for expression in _expressions() for name in NAME.findall(expression)}
    asked = {re.sub(r"_bucket$", "", name) for name in asked}
    assert asked - documented == set()


def test_recorded_series_that_are_asked_for_are_recorded() -> None:
    recorded = {rule["record"] for rule in _rules() if "record" in rule}
    asked = {name for expression in _expressions() for name in re.findall(r"\bmonitors:[\w:]+", expression)}
    assert asked == recorded


def test_every_alert_says_how_bad_it_is_and_where_its_runbook_is() -> None:
    page = ROOT / "docs" / "operations.md"
    headings = {
        re.sub(r"[^\w-]", "", title.lower()) for title in re.findall(r"^###? (\w+)$", page.read_text(), re.MULTILINE)
    }
    for rule in _rules():
        if "alert" in rule:
            assert rule["labels"]["severity"] in ("info", "warning", "critical")
            path, _, anchor = rule["annotations"]["runbook_url"].partition("#")
            assert path == "docs/operations.md"
            assert anchor in headings, rule["alert"]


def test_each_runbook_begins_with_a_command() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    anchors = {rule["annotations"]["runbook_url"].partition("#")[2] for rule in _rules() if "alert" in rule}
    for title, text in re.findall(r"^### (Monitors\w+)\n\n(.*?)(?=^##|\Z)", page, re.MULTILINE | re.DOTALL):
        assert title.lower() in anchors, title
        assert text.startswith("    "), title


@pytest.mark.parametrize("name", ["mesh-ha", "embedded-full"])
def test_what_is_rendered_is_the_files_themselves(name: str) -> None:
    [rule] = of_kind(name, "PrometheusRule").values()
    records = [each["record"] for group in rule["spec"]["groups"] for each in group["rules"] if "record" in each]
    assert records == [each["record"] for each in _rules() if "record" in each]
    [dashboard] = of_kind(name, "ConfigMap").values()
    assert json.loads(dashboard["data"]["monitors.json"]) == DASHBOARD


def test_runbooks_are_where_the_values_say() -> None:
    [rule] = of_kind("mesh-ha", "PrometheusRule").values()
    urls = {each["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for each in group["rules"]
            if "alert" in each}  # fmt: skip
    assert all(url.startswith("https://runbooks.example.org/monitors#") for url in urls)


def test_chart_images_and_package_have_one_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((ROOT / "services" / "pyproject.toml").read_text())["project"]
    compose = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
    own = [service["image"] for service in compose["services"].values() if service["image"].startswith("monitors-")]
    assert {image.partition(":")[2] for image in own} == {chart["appVersion"], package["version"]}
    assert f"TAG ?= {package['version']}" in (ROOT / "Makefile").read_text()


def test_the_laptops_influxdb_is_the_first_products() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    assert services["influxdb"]["image"] == "influxdb:2.7"
    made, used = services["influxdb"]["environment"], services["evaluator"]["environment"]
    assert made["DOCKER_INFLUXDB_INIT_ORG"] == used["INFLUXDB_ORG"] == "monitors"
    assert made["DOCKER_INFLUXDB_INIT_BUCKET"] == used["INFLUXDB_BUCKET"] == "monitors"
    assert made["DOCKER_INFLUXDB_INIT_ADMIN_TOKEN"] == used["INFLUXDB_TOKEN"]


def test_nothing_of_the_laptops_mesh_listens_beyond_it() -> None:
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    published = [port for service in services.values() for port in service.get("ports", ())]
    assert published
    assert [port for port in published if not port.startswith("127.0.0.1:")] == []


def test_images_are_made_of_named_folders_alone_and_nobody_is_root_in_them() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    recipe = (ROOT / "deploy" / "Dockerfile").read_text()
    assert re.findall(r"^USER (\S+)$", recipe, re.MULTILINE) == ["10001:10001"]
    assert recipe.count("--frozen --no-dev") == recipe.count("uv sync") * 2
