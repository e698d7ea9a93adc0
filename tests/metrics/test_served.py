"""The metrics of three real services, read by a real Prometheus, while alerts of a tenant fire."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS

from tests import forked
from tests.canaries import canary
from tests.harness import LoopThread
from tests.metrics.table import documented, families, rows
from tests.notifier.world import Receiver, Reply
from tests.processes import BIN, MeshProcess, running_mesh
from tests.served import ServedMesh, ServedProcess, served_mesh
from tests.servers.backends import keeping_points
from tests.servers.prometheus import PrometheusServer, complaints, needs_prometheus
from tests.waiting import wait_for

pytestmark = pytest.mark.process
TENANT = canary("tenant")
TEXT = canary("text")
"""Stands in everything that the tenant writes."""


@dataclass(frozen=True)
class Exporting:
    """A mesh that exports metrics."""

    mesh: ServedMesh
    urls: dict[str, str]

    def page(self, service: str) -> str:
        """The metrics of a service."""
        with urlopen(self.urls[service], timeout=20) as answer:
            return str(answer.read().decode())

    def value(self, service: str, name: str, **labels: str) -> float:
        """The sum of a metric's samples with these labels; 0 if there are none."""
        return sum(
            sample.value
            for family in families(self.page(service))
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


def _url(process: ServedProcess) -> str:
    (line,) = [line for line in process.output if line.startswith("metrics are read at ")]
    return line.split()[-1]


@pytest.fixture(scope="module")
def exporting(tmp_path_factory: pytest.TempPathFactory, loop_thread: LoopThread) -> Iterator[Exporting]:
    environment = {
        "MONITORS_TENANTS": TENANT, "MONITORS_ALLOW_LOCAL_TARGETS": "1", "MONITORS_METRICS_ADDRESS": "127.0.0.1:0",
        **keeping_points(),
    }  # fmt: skip
    with (
        loop_thread.opened(Receiver().listening()) as refusing,
        loop_thread.opened(Receiver().listening()) as taking,
        served_mesh(tmp_path_factory.mktemp("home"), environment) as mesh,
    ):
        found = Exporting(mesh, {process.service: _url(process) for process in mesh.processes})
        _fire(found, refusing, taking)
        yield found


def _fire(found: Exporting, refusing: Receiver, taking: Receiver) -> None:
    """Three alerts fire: one is told, of one the receiver refuses the message, and one has nobody to be told."""
    mesh = found.mesh
    refusing.script = [Reply(400, body=TEXT.encode())] * 20
    _command(mesh, "channels", "create", f"{TEXT}-bad", "--webhook", f"{refusing.url}/{TEXT}")
    _command(mesh, "channels", "create", f"{TEXT}-good", "--webhook", f"{taking.url}/{TEXT}")
    _write(mesh, 1.0)
    for number, notify in enumerate(((f"{TEXT}-bad",), (f"{TEXT}-good",), ())):
        to = [word for name in notify for word in ("--notify", name)]
        _command(
            mesh, "rules", "create", "--monitor", TEXT, "--title", f"{TEXT} {number}", "--when", f"{TEXT} > 5",
            "--label", f"{TEXT}={TEXT}", *to,
        )  # fmt: skip
    wait_for(lambda: found.value("evaluator", "monitors_evaluation_rules") == 3, "the rules to be evaluated")
    _write(mesh, 9.0)
    for state in ("dead", "suppressed"):
        wait_for(lambda: found.value("notifier", f"monitors_deliveries_{state}") == 1, f"a {state} delivery")  # noqa: B023
    # The other channel is told the second alert, and that the first couldn't be told.
    wait_for(lambda: found.value("notifier", "monitors_deliveries_ended_total") == 3, "the deliveries")


def _write(mesh: ServedMesh, value: float) -> None:
    url = f"http://127.0.0.1:{mesh.http_port}"
    with InfluxDBClient(url, token=mesh.key(TENANT), org="any") as client:
        point = Point(TEXT).tag("monitor_id", TEXT).tag(TEXT, TEXT).field(TEXT, value).time(time.time_ns())
        client.write_api(write_options=SYNCHRONOUS).write("any", record=point)


def _command(mesh: ServedMesh, *arguments: str) -> Any:
    service = mesh.notifier if arguments[0] == "channels" else mesh.rules
    done = forked.run(*arguments, "--json", environment=mesh.client_environment(service, TENANT))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_notifier_tells_how_its_deliveries_stand(exporting: Exporting) -> None:
    value = exporting.value
    assert value("notifier", "monitors_delivery_attempts_total", channel_kind="webhook", outcome="ok") == 2
    assert value("notifier", "monitors_delivery_attempts_total", channel_kind="webhook", outcome="final") == 1
    assert value("notifier", "monitors_delivery_attempt_duration_seconds_count", channel_kind="webhook") == 3
    assert value("notifier", "monitors_deliveries_ended_total", state="delivered") == 2
    assert value("notifier", "monitors_deliveries_ended_total", state="dead") == 1
    assert value("notifier", "monitors_deliveries_pending") == 0


def test_rule_service_tells_what_was_recorded_and_who_watches(exporting: Exporting) -> None:
    assert exporting.value("rules", "monitors_transitions_recorded_total", kind="firing") == 3
    assert exporting.value("rules", "monitors_outbox_waiting") == 0
    assert exporting.value("rules", "monitors_rpc_streams_open", grpc_method="WatchRules") == 1
    assert exporting.value("rules", "monitors_rpc_streams_open", grpc_method="LeaseNotifications") == 1
    created = {"grpc_method": "CreateRule", "grpc_code": "OK"}
    assert exporting.value("rules", "grpc_server_handled_total", **created) == 3


def test_the_evaluator_tells_what_it_evaluates(exporting: Exporting) -> None:
    value = exporting.value
    assert value("evaluator", "monitors_evaluation_instances") == 3
    assert value("evaluator", "monitors_evaluation_series") == 1
    assert value("evaluator", "monitors_evaluation_shards_held") == 256
    assert value("evaluator", "monitors_points_accepted_total") == 2
    assert 0 <= value("evaluator", "monitors_evaluation_lag_seconds") < 60
    for phase in ("wait", "evaluate", "record"):
        assert value("evaluator", "monitors_evaluation_phase_duration_seconds_count", phase=phase) > 0


def test_nothing_of_a_tenant_is_in_the_metrics(exporting: Exporting) -> None:
    pages = {service: exporting.page(service) for service in exporting.urls}
    assert [service for service, page in pages.items() if "canary" in page.lower()] == []


@needs_prometheus
def test_promtool_has_nothing_to_complain_about(exporting: Exporting) -> None:
    assert {service: complaints(exporting.page(service)) for service in exporting.urls} == dict.fromkeys(
        exporting.urls, ""
    )


@needs_prometheus
def test_prometheus_scrapes_all_services(exporting: Exporting, tmp_path: Path) -> None:
    targets = [url.split("/")[2] for url in exporting.urls.values()]
    with PrometheusServer(tmp_path, targets).running() as prometheus:
        wait_for(lambda: prometheus.value("sum(up)") == 3, "three targets to be scraped")
        assert prometheus.last_error() == ["", "", ""]
        assert prometheus.value("max(monitors_deliveries_dead)") == 1
        assert prometheus.value('sum(monitors_transitions_recorded_total{kind="firing"})') == 3
        assert prometheus.value('sum(grpc_server_handled_total{grpc_code!="OK", grpc_method="CreateRule"})') is None
        known = prometheus.help_of()
    assert {name for name, about in known.items() if not about["help"]} == set()
    assert known["monitors_delivery_attempt_duration_seconds"]["type"] == "histogram"


def test_the_page_lists_exactly_what_is_exported(exporting: Exporting) -> None:
    exported = [family for service in exporting.urls for family in families(exporting.page(service))]
    assert documented() == rows(exported)


def test_without_an_address_nothing_listens_and_nothing_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys, monitors.app.up, monitors.app.mesh, monitors.app.serve; "
        "sys.exit('prometheus_client' in sys.modules)"
    )
    assert subprocess.run([BIN / "python", "-c", program], timeout=60, check=False).returncode == 0


def test_a_mesh_in_one_process_exports_all_of_its_services(tmp_path: Path) -> None:
    environment = {"MONITORS_METRICS_ADDRESS": "127.0.0.1:0"}
    with (
        running_mesh(tmp_path, "--no-host", environment=environment) as mesh,
        urlopen(_banner_url(mesh), timeout=20) as answer,
    ):
        names = {family.name for family in families(answer.read().decode())}
    assert {"monitors_outbox_waiting", "monitors_evaluation_lag_seconds", "monitors_deliveries_pending"} <= names


def _banner_url(mesh: MeshProcess) -> str:
    (line,) = [line for line in mesh.output if line.strip().startswith("metrics ")]
    return line.split()[-1]
