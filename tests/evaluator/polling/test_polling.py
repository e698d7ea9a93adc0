"""An evaluator that reads a real InfluxDB 1.x: from what is found there to alerts."""

import time
from collections.abc import Iterator

import pytest

from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.times import HOUR, SECOND, to_duration, to_timestamp
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import rule_pb2
from monitors.v1 import rule_service_pb2 as rules_pb
from tests.evaluator.polling.mesh import Polled, polled_mesh, until
from tests.harness import LoopThread
from tests.servers.influxdb import InfluxServer, influx_server, needs_influxdb

pytestmark = needs_influxdb


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with influx_server(tmp_path_factory.mktemp("influx")) as running:
        running.write(f"crypto_price,monitor_id=btc price=50000 {time.time_ns()}")
        yield running


@pytest.fixture(scope="module")
def mesh(loop_thread: LoopThread, server: InfluxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polled]:
    with polled_mesh(loop_thread, tmp_path_factory.mktemp("mesh"), InfluxSettings(server.url)) as running:
        yield running


@pytest.mark.parametrize(
    ("measurement", "field", "calm", "alarming", "condition"),
    [
        ("crypto_price", "price", "59999.5", "60001", "price > 60000"),
        ("website_check", "response_time", "120", "800", "response_time > 500"),
        ("website_check", "status_code", "200i", "503i", "status_code >= 500"),
        ("website_check", "is_up", "true", "false", "is_up == 0"),
        ("monitor_data", "value", "1", "11", "value > 10"),
    ],
)
def test_the_shapes_of_the_first_product_fire_and_resolve(
    server: InfluxServer, mesh: Polled, measurement: str, field: str, calm: str, alarming: str, condition: str
) -> None:
    monitor = f"mon_{field}"
    line = f"{measurement},monitor_id={monitor} {field}="
    server.write(f"{line}{calm} {time.time_ns()}")
    mesh.create(monitor, condition)
    assert (monitor, condition, "firing") not in mesh.alerts()
    server.write(f"{line}{alarming} {time.time_ns()}")
    until(lambda: (monitor, condition, "firing") in mesh.alerts(), "the alert")
    server.write(f"{line}{calm} {time.time_ns()}")
    until(lambda: (monitor, condition, "resolved") in mesh.alerts(), "its end")


def test_what_is_in_the_source_is_charted_tried_on_the_past_and_exported(server: InfluxServer, mesh: Polled) -> None:
    now = time.time_ns()
    times = [now - (60 - second) * SECOND for second in range(60)]
    server.write("\n".join(f"monitor_data,monitor_id=tried value={second} {at}" for second, at in enumerate(times)))
    until(lambda: mesh.series("tried") == {("tried", "value"): 59.0}, "the monitor")

    asked = pb.QuerySeriesRequest(monitor_id="tried", field="value", start_time=to_timestamp(times[0]))
    (series,) = mesh.service.QuerySeries(asked, metadata=mesh.client.metadata).series
    assert list(series.times) == times
    assert list(series.values) == list(range(60))

    exported = mesh.service.ExportSeries(pb.ExportSeriesRequest(monitor_id="tried"), metadata=mesh.client.metadata)
    assert sum(len(one.times) for one in exported) == 8 * 60

    rule = rule_pb2.Rule(monitor_id="tried", title="Tried", condition_text="value > 49")
    preview = mesh.client.call(rules_pb.PreviewRuleRequest(rule=rule, backtest_window=to_duration(HOUR)))
    (interval,) = preview.backtest.intervals
    assert interval.start_time == to_timestamp(times[50])


def test_the_status_says_what_is_read_and_that_nothing_is_wrong(server: InfluxServer, mesh: Polled) -> None:
    status = mesh.status()
    assert status.source.startswith("InfluxDB 1.6")
    assert list(status.problems) == []
    assert status.accepted_point_count > 0
