"""A real InfluxDB that is stopped and started again under an evaluator that reads it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.config import PollSettings
from monitors.mesh.times import SECOND
from tests.evaluator.polling.mesh import Polled, polled_mesh, until
from tests.harness import LoopThread
from tests.servers.influxdb import InfluxServer, influx_server, needs_influxdb

pytestmark = needs_influxdb
PATIENT = PollSettings(interval=0.2, allowance=4 * SECOND)
AWAY = "no alert fires or resolves"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[InfluxServer]:
    with influx_server(tmp_path / "influx") as running:
        yield running


@pytest.fixture
def mesh(loop_thread: LoopThread, server: InfluxServer, tmp_path: Path) -> Iterator[Polled]:
    (tmp_path / "mesh").mkdir()
    with polled_mesh(loop_thread, tmp_path / "mesh", InfluxSettings(server.url), poll=PATIENT) as running:
        yield running


def write(server: InfluxServer, value: float, at: int | None = None) -> int:
    at = at or time.time_ns()
    server.write(f"monitor_data,monitor_id=m value={value} {at}")
    return at


def is_away(mesh: Polled) -> bool:
    return any(AWAY in problem for problem in mesh.status().problems)


def test_m5_a_source_that_is_away_fires_and_resolves_nothing_and_loses_nothing(
    server: InfluxServer, mesh: Polled, caplog: pytest.LogCaptureFixture
) -> None:
    write(server, 1)
    mesh.create("m", "no data for 5s")
    mesh.create("m", "value > 10")
    mesh.create("m", "value < 0 for 2s")
    # It breaches in the last moment before the source goes, and a second rule is about to.
    before = write(server, 20)
    server.stop()
    until(lambda: is_away(mesh), "the problem in the status")
    stopped = mesh.evaluated_to()
    # Longer than any of the rules waits.
    until(lambda: time.time_ns() > before + 12 * SECOND, "the outage to last")
    assert mesh.evaluated_to() <= before + 2 * SECOND
    assert mesh.evaluated_to() >= stopped
    assert mesh.alerts() == []

    server.start()
    # What a client kept meanwhile, and what it measures now.
    write(server, 1, before + 3 * SECOND)
    write(server, -1, before + 4 * SECOND)
    write(server, -1, before + 7 * SECOND)
    back = write(server, 1)
    until(lambda: mesh.evaluated_to() > back, "the evaluation to catch up")
    assert not is_away(mesh)
    expected = [("m", "value < 0 for 2s", "resolved"), ("m", "value > 10", "resolved")]
    until(lambda: mesh.alerts() == expected, "both alerts, and no other")
    said = [record.message for record in caplog.records if "InfluxDB" in record.message]
    assert len([line for line in said if AWAY in line]) == 1
    assert len([line for line in said if "answers again" in line]) == 1


def test_an_evaluator_that_finds_no_source_at_its_start_waits_for_it(
    server: InfluxServer, loop_thread: LoopThread, tmp_path: Path
) -> None:
    write(server, 20)
    server.stop()
    (tmp_path / "other").mkdir()
    with polled_mesh(loop_thread, tmp_path / "other", InfluxSettings(server.url), poll=PATIENT) as mesh:
        until(lambda: is_away(mesh), "the problem in the status")
        server.start()
        mesh.create("m", "value > 10")
        until(lambda: mesh.alerts() == [("m", "value > 10", "firing")], "the alert")


def test_what_was_written_while_the_evaluator_was_away_is_told_once(
    server: InfluxServer, loop_thread: LoopThread, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    write(server, 1)
    with polled_mesh(loop_thread, tmp_path / "other", InfluxSettings(server.url), poll=PATIENT) as mesh:
        mesh.create("m", "value > 10")
        mesh.create("m", "value > 5 for 3s")
        mesh.create("m", "no data for 1h")
        pending = write(server, 7)
        until(lambda: mesh.evaluated_to() > pending, "the evaluation")
    write(server, 20, pending + SECOND)
    write(server, 6, pending + 2 * SECOND)
    until(lambda: time.time_ns() > pending + 4 * SECOND, "the future to have come")
    write(server, 6, pending + 4 * SECOND)
    with polled_mesh(loop_thread, tmp_path / "other", InfluxSettings(server.url), poll=PATIENT) as mesh:
        until(lambda: mesh.evaluated_to() > pending + 5 * SECOND, "the evaluation")
        expected = [("m", "value > 10", "resolved"), ("m", "value > 5 for 3s", "firing")]
        until(lambda: mesh.alerts() == expected, "the alerts")
    with polled_mesh(loop_thread, tmp_path / "other", InfluxSettings(server.url), poll=PATIENT) as mesh:
        again = time.time_ns()
        until(lambda: mesh.evaluated_to() > again, "the evaluation")
        assert mesh.alerts() == expected
