"""Points that are pushed to an evaluator which reads an InfluxDB: in it before the answer, and evaluated at once."""

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import requests

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.config import PollSettings
from monitors.mesh.masking import Secret
from monitors.mesh.times import MINUTE, SECOND
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import monitor_pb2
from tests.evaluator.polling.mesh import FAST, Polled, polled_mesh, until
from tests.harness import LoopThread
from tests.servers.influxdb import InfluxServer, influx_server, needs_influxdb
from tests.servers.influxdb2 import ORG, TOKEN, Influx2, influx2

SELDOM = PollSettings(interval=600.0, allowance=10 * MINUTE)
"""What is evaluated meanwhile isn't what was polled."""
FLOAT = monitor_pb2.FieldType.ValueType(FieldType.FLOAT)


class Landlord:
    """Monitors that begin with `ours` are the local tenant's, `theirs` somebody else's; others are nobody's."""

    async def owners(self, monitor_ids: Iterable[str]) -> Mapping[str, str]:
        tenants = {"ours": "local", "theirs": "acme"}
        return {one: tenants[name] for one in monitor_ids if (name := one.partition("_")[0]) in tenants}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    with influx_server(tmp_path_factory.mktemp("influx")) as running:
        yield running


@pytest.fixture(scope="module")
def double() -> Iterator[Influx2]:
    with influx2() as running:
        yield running


@pytest.fixture(scope="module", params=[pytest.param(1, marks=needs_influxdb), 2])
def seldom(
    request: pytest.FixtureRequest, loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Polled]:
    """A mesh that hardly ever polls, beside a real 1.x or the double of 2.x."""
    if request.param == 1:
        settings = InfluxSettings(request.getfixturevalue("server").url)
    else:
        settings = InfluxSettings(request.getfixturevalue("double").url, Secret(TOKEN), ORG)
    with polled_mesh(loop_thread, tmp_path_factory.mktemp("mesh"), settings, poll=SELDOM) as running:
        until(lambda: running.status().source, "the first answer")
        yield running


@pytest.fixture(scope="module")
def mesh(loop_thread: LoopThread, server: InfluxServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Polled]:
    with polled_mesh(
        loop_thread, tmp_path_factory.mktemp("mesh"), InfluxSettings(server.url), owners=Landlord()
    ) as running:
        yield running


def push(mesh: Polled, lines: str, **asked: str) -> requests.Response:
    return requests.post(
        f"http://127.0.0.1:{mesh.evaluator.http_port}/api/v2/write",
        lines.encode(),
        params=asked,
        headers={"Authorization": f"Token {mesh.client.key}"},
        timeout=60,
    )


def take(mesh: Polled, lines: str, **asked: str) -> None:
    answer = push(mesh, lines, **asked)
    assert (answer.status_code, answer.text) == (204, "")


def asked(server: InfluxServer, query: str) -> str:
    return server.query(f"{query};").decode()


def test_a_pushed_point_is_evaluated_without_any_poll(seldom: Polled) -> None:
    take(seldom, "web,monitor_id=shop load=5")
    until(lambda: "shop" in seldom.monitors(), "the monitor")
    until(lambda: seldom.status().shard_count == 256, "all shards")
    seldom.create("shop", "load > 10")

    def is_after(load: int, state: str) -> bool:
        # The rule may still be on its way to the evaluator.
        take(seldom, f"web,monitor_id=shop load={load}")
        return ("shop", "load > 10", state) in seldom.alerts()

    until(lambda: is_after(11, "firing"), "the alert")
    until(lambda: is_after(9, "resolved"), "its end")
    assert seldom.series("shop") == {("shop", "load"): 9.0}


def test_what_another_evaluator_has_taken_is_evaluated_before_what_was_pushed_later(
    seldom: Polled, request: pytest.FixtureRequest
) -> None:
    version = request.node.callspec.params["seldom"]
    through_another = request.getfixturevalue("server" if version == 1 else "double").write
    take(seldom, "web,monitor_id=bank load=5")
    until(lambda: seldom.status().shard_count == 256, "all shards")
    seldom.create("bank", "load > 20")

    def episodes() -> list[tuple[str, str]]:
        return [(title, state) for of, title, state in seldom.alerts() if of == "bank"]

    def has_fired() -> bool:
        # The rule may still be on its way to the evaluator.
        take(seldom, "web,monitor_id=bank load=21")
        return bool(episodes())

    until(has_fired, "the rule")
    take(seldom, "web,monitor_id=bank load=5")
    until(lambda: episodes() == [("load > 20", "resolved")], "the first end")
    through_another(f"web,monitor_id=bank load=22 {time.time_ns()}")
    take(seldom, "web,monitor_id=bank load=5")
    until(lambda: episodes() == [("load > 20", "resolved")] * 2, "the second alert")


@needs_influxdb
def test_a_point_is_in_the_influxdb_as_it_came(server: InfluxServer, mesh: Polled) -> None:
    at = time.time_ns() // 10**6
    take(mesh, f'cpu,host=ours_web,cpu=cpu0 usage=1.5,busy=true,"text"="a b",count=7i {at}', precision="ms")
    take(mesh, f"cpu,monitor_id=ours_web,host=box usage=2 {at}\nours usage=3 {at}", precision="ms")
    rows = server.query('SELECT * FROM "monitors".."cpu" WHERE "host" = \'ours_web\'').decode()
    for value in ("1.5", "true", '"a b"', "7"):
        assert value in rows
    tags = asked(server, 'SHOW SERIES ON "monitors"')
    for series in ("cpu,cpu=cpu0,host=ours_web", "cpu,host=box,monitor_id=ours_web", "ours"):
        assert f'["{series}"]' in tags


@needs_influxdb
def test_the_polls_copies_of_what_was_pushed_are_not_evaluated_again(server: InfluxServer, mesh: Polled) -> None:
    take(mesh, "m,monitor_id=ours_copied x=1")
    mesh.create("ours_copied", "x > 10")

    def fires() -> bool:
        take(mesh, "m,monitor_id=ours_copied x=11")
        return bool(states("firing"))

    def states(wanted: str) -> list[str]:
        return [state for monitor, _, state in mesh.alerts() if (monitor, state) == ("ours_copied", wanted)]

    until(fires, "the rule")
    for value in (9, 12, 8):
        take(mesh, f"m,monitor_id=ours_copied x={value}")
    now = time.time_ns()
    until(lambda: mesh.evaluated_to() > now, "the polls")
    until(lambda: len(states("resolved")) == 2, "both ends")
    assert not states("firing")


@needs_influxdb
@pytest.mark.parametrize("monitor", ["theirs_shop", "nobodys"])
def test_a_point_of_anothers_monitor_is_refused_like_one_of_nobodys(
    server: InfluxServer, mesh: Polled, monitor: str
) -> None:
    answer = push(mesh, f"stolen,monitor_id={monitor} x=1\nkept,monitor_id=ours_a x=2")
    assert answer.status_code == 422
    assert answer.json()["message"].endswith(
        "the InfluxDB has no such monitor of yours; check its id, or have it set up first dropped=1"
    )
    assert monitor not in asked(server, 'SHOW SERIES ON "monitors"')
    assert "kept,monitor_id=ours_a" in asked(server, 'SHOW SERIES ON "monitors"')
    assert monitor not in mesh.monitors()


@needs_influxdb
def test_what_the_influxdb_refuses_is_told_in_its_words(server: InfluxServer, mesh: Polled) -> None:
    server.write(f"typed,monitor_id=else x=1 {time.time_ns()}")
    answer = push(mesh, "typed,monitor_id=ours_typed x=1i,y=1i")
    assert answer.status_code == 400
    assert "partial write: field type conflict" in answer.json()["message"]
    assert "dropped=1" in answer.json()["message"]


def columns(monitor: str, *values: float) -> pb.WriteSamplesRequest:
    key = monitor_pb2.SeriesKey(monitor_id=monitor, measurement="columns", field="x")
    return pb.WriteSamplesRequest(
        series=[pb.SeriesDefinition(key=key, type=FLOAT)],
        series_indexes=np.zeros(len(values), "<u4").tobytes(),
        times=(time.time_ns() + np.arange(len(values)) * 1_000).astype("<i8").tobytes(),
        values=np.array(values, "<f8").tobytes(),
    )


@needs_influxdb
def test_columns_are_written_too_but_for_what_an_influxdb_cannot_keep(server: InfluxServer, mesh: Polled) -> None:
    requests_ = iter([columns("ours_columns", 1.5, math.nan, math.inf, 0.1 + 0.2)])
    answer = mesh.service.WriteSamples(requests_, metadata=mesh.client.metadata)
    assert (answer.accepted_count, answer.rejected_count) == (2, 2)
    assert "NaN nor infinity" in answer.rejections[0].reason
    assert "0.30000000000000004" in asked(server, 'SELECT "x" FROM "monitors".."columns"')


@needs_influxdb
def test_while_the_influxdb_is_away_points_are_to_be_sent_again_and_none_is_lost(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    (tmp_path / "mesh").mkdir()
    with (
        influx_server(tmp_path / "influx") as server,
        polled_mesh(loop_thread, tmp_path / "mesh", InfluxSettings(server.url), poll=FAST) as mesh,
    ):
        take(mesh, "m,monitor_id=a x=1")
        mesh.create("a", "x > 10")
        server.stop()
        waiting = f"m,monitor_id=a x=11 {time.time_ns()}"
        answer = push(mesh, waiting)
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        assert "can't be reached" in answer.json()["message"]
        with pytest.raises(grpc.RpcError) as raised:
            mesh.service.WriteSamples(iter([columns("a", 1.0)]), metadata=mesh.client.metadata)
        error: Any = raised.value
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        assert any("points can't be written" in one for one in mesh.status().problems)
        server.start()
        until(lambda: push(mesh, waiting).status_code == 204, "the InfluxDB")
        until(lambda: mesh.alerts() == [("a", "x > 10", "firing")], "the alert")
        until(lambda: not mesh.status().problems, "the end of the outage")


def test_what_fired_ahead_of_the_polls_goes_on_firing_after_a_restart(
    loop_thread: LoopThread, tmp_path: Path, double: Influx2
) -> None:
    (tmp_path / "mesh").mkdir()
    settings = InfluxSettings(double.url, Secret(TOKEN), ORG)
    with polled_mesh(loop_thread, tmp_path / "mesh", settings, poll=SELDOM) as mesh:
        until(lambda: mesh.status().source and mesh.status().shard_count == 256, "all shards")
        take(mesh, "m,monitor_id=kept x=1")
        mesh.create("kept", "x > 10")

        def fires() -> bool:
            take(mesh, "m,monitor_id=kept x=11")
            return bool(mesh.alerts())

        until(fires, "an alert")
        take(mesh, "m,monitor_id=kept x=9")
        take(mesh, "m,monitor_id=kept x=12")
        told = [("kept", "x > 10", "firing"), ("kept", "x > 10", "resolved")]
        until(lambda: mesh.alerts() == told, "another alert")
    now = time.time_ns()
    late = PollSettings(interval=0.2, allowance=5 * SECOND)
    with polled_mesh(loop_thread, tmp_path / "mesh", settings, poll=late) as mesh:
        # The calm point from before the second alert is polled only now.
        until(lambda: mesh.status().shard_count == 256 and mesh.evaluated_to() > now, "the polls")
        assert mesh.alerts() == told
        take(mesh, "m,monitor_id=kept x=9")
        until(lambda: mesh.alerts() == [told[1], told[1]], "its end")
