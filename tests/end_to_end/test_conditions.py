"""Conditions of every kind on a running mesh: said as text, evaluated on stored points, told with the right value."""

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS

from tests.processes import MeshProcess, running_mesh, wait_for

STEP, COUNT = 10, 13
LATENCIES = [10.0 * number for number in range(1, COUNT + 1)]
"""10 to 130 in steps of 10, a point every 10 seconds."""


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MeshProcess]:
    with running_mesh(tmp_path_factory.mktemp("home")) as process:
        write(process, *points(time.time() - 5))
        yield process


def points(newest: float) -> list[tuple[float, dict[str, float]]]:
    """Seconds and fields, up to `newest`."""
    return [
        (
            newest - STEP * (COUNT - 1 - number),
            {
                "latency": latency,
                "requests": 100.0 * (number % 9),
                "state": float(number % 2),
                "disk": 50.0 + number,
                "last_backup": newest - 7200,
            },
        )
        for number, latency in enumerate(LATENCIES)
    ]


def write(mesh: MeshProcess, *rows: tuple[float, Mapping[str, float]]) -> None:
    with InfluxDBClient(f"http://127.0.0.1:{mesh.http_port}", token=mesh.key, org="monitors") as client:
        records = []
        for seconds, fields in rows:
            point = Point("web").tag("monitor_id", "shop").time(int(seconds * 1e9))
            for name, number in fields.items():
                point.field(name, number)
            records.append(point)
        client.write_api(write_options=SYNCHRONOUS).write("monitors", record=records)


def watch(mesh: MeshProcess, condition: str) -> str:
    """Makes a rule and gives its canonical condition."""
    made = mesh.command(
        "rules", "create", "--monitor", "shop", "--title", condition, "--when", condition, "--interval", "1s", "--json"
    )
    assert made.returncode == 0, made.stderr
    condition_text: str = json.loads(made.stdout)["rule"]["condition"]
    return condition_text


def alerts_of(mesh: MeshProcess) -> dict[str, dict[str, object]]:
    """All alerts by their rules' titles, of each the newest."""
    return {one["title"]: one for one in reversed(mesh.json("alerts", "list", "--limit", "100")["alerts"])}


def alert_of(mesh: MeshProcess, title: str) -> dict[str, object] | None:
    return alerts_of(mesh).get(title)


KINDS = {
    "p90(latency, 5m) > 100": 118.0,
    "median(latency, 5m) > 50": 70.0,
    "first(latency, 5m) < 20": 10.0,
    "spread(latency, 5m) > 50": 120.0,
    "stddev(latency, 5m) > 37": 37.41657386773941,
    "delta(latency, 5m) > 50": 120.0,
    "deriv(latency, 5m) > 0.9": 1.0,
    "rate(requests, 5m) > 9": 1100.0 / 120,
    "increase(requests, 5m) > 1000": 1100.0,
    "resets(requests, 5m) > 0": 1.0,
    "changes(state, 5m) >= 12": 12.0,
    "forecast(disk, 5m, 10m) > 100": None,
    "change(latency, 1m) > 40%": None,
    "latency drops by more than 1 in 1m": None,
    "age(last_backup) > 1h": None,
    "latency offset 1m < 130": None,
    "latency > 100 in 3 of the last 5 points": 130.0,
    "latency > 5 in all points of 5m": 130.0,
    "latency > 100 in 4 of the last 5 points": None,
}
QUIET = {"latency drops by more than 1 in 1m", "latency > 100 in 4 of the last 5 points"}


def test_conditions_of_every_kind_fire_on_what_is_stored(mesh: MeshProcess, tmp_path: Path) -> None:
    # All at once: what some look at is only a minute old.
    rules = [
        {"key": f"kind-{number}", "monitor": "shop", "title": condition, "condition": condition, "interval": "1s"}
        for number, condition in enumerate(KINDS)
    ]
    file = tmp_path / "kinds.yaml"
    file.write_text(json.dumps({"namespace": "kinds", "rules": rules}))
    made = mesh.command("rules", "apply", str(file), "--yes")
    assert made.returncode == 0, made.stderr
    expected = KINDS.keys() - QUIET
    wait_for(lambda: alerts_of(mesh).keys() >= expected, "the alerts of all kinds", 60)
    found = alerts_of(mesh)
    for condition in expected:
        if KINDS[condition] is not None:
            assert found[condition]["value"] == pytest.approx(KINDS[condition]), condition
    assert not QUIET & found.keys()


def test_an_alert_with_a_recover_clause_goes_on_until_that_holds(mesh: MeshProcess) -> None:
    title = "temperature > 90 recover < 75"
    write(mesh, (time.time(), {"temperature": 20.0}))
    watch(mesh, title)

    write(mesh, (time.time(), {"temperature": 95.0}))
    alert = wait_for(lambda: alert_of(mesh, title), "the alert")
    assert (alert["state"], alert["value"]) == ("firing", 95.0)
    # Points are evaluated in their order: that the alert ended at 70 says that it hadn't at 80.
    write(mesh, (time.time(), {"temperature": 80.0}))
    write(mesh, (time.time(), {"temperature": 70.0}))
    wait_for(lambda: (alert_of(mesh, title) or {})["state"] == "resolved", "its end")
    shown = mesh.json("alerts", "show", str(alert["id"]))
    assert [event.get("value") for event in shown["timeline"]] == [95.0, 70.0]


def test_an_alert_changes_its_severity_with_the_value_and_people_hear_that_it_got_worse(mesh: MeshProcess) -> None:
    write(mesh, (time.time(), {"load": 20.0}))
    made = mesh.json(
        "rules", "create", "--monitor", "shop", "--title", "Load", "--when", "load > 60 recover < 50",
        "--severity", "low", "--level", "high: > 70 recover < 60", "--level", "critical: > 80 recover < 70",
    )  # fmt: skip
    assert list(made["rule"]["levels"].values()) == ["> 70 recover < 60", "> 80 recover < 70"]

    def severity() -> object:
        return (alert_of(mesh, "Load") or {}).get("severity")

    for value, expected in ((61, "low"), (85, "critical"), (62, "low")):
        write(mesh, (time.time(), {"load": float(value)}))
        wait_for(lambda: severity() == expected, expected)  # noqa: B023
    write(mesh, (time.time(), {"load": 55.0}), (time.time(), {"load": 47.0}))
    wait_for(lambda: (alert_of(mesh, "Load") or {})["state"] == "resolved", "its end")
    shown = mesh.json("alerts", "show", str((alert_of(mesh, "Load") or {})["id"]))
    turns = [event["detail"] for event in shown["timeline"] if event["kind"] == "severity_changed"]
    assert turns == ["low → critical", "critical → low"]
    told = wait_for(lambda: deliveries_of(mesh, "Load", 3), "what was told")
    assert told == ["firing", "severity_changed", "resolved"]
    tried = mesh.json(
        "rules", "preview", "--monitor", "shop", "--when", "load > 60 recover < 50", "--level", "high: > 70",
        "--since", "1h",
    )  # fmt: skip
    assert tried["count"] == 1


def deliveries_of(mesh: MeshProcess, title: str, count: int) -> list[str]:
    """The kinds of messages about an alert that have arrived, once there are so many."""
    shown = mesh.json("alerts", "show", str((alert_of(mesh, title) or {})["id"]))
    kinds = [one["kind"] for one in shown["deliveries"] if one["state"] == "delivered"]
    return kinds if len(kinds) >= count else []


def test_a_rule_that_is_not_saved_is_tried_on_what_is_stored(mesh: MeshProcess, tmp_path: Path) -> None:
    tried = mesh.json("rules", "preview", "--monitor", "shop", "--when", "latency > 100", "--since", "1h")
    assert (tried["count"], tried["current_value"]) == (1, 130.0)
    (interval,) = tried["intervals"]
    assert (interval["value"], interval["end_time"]) == (110.0, None)
    assert [match["field"] for match in tried["matches"]] == ["latency"]
    picture = tmp_path / "chart.png"
    words = ("--monitor", "shop", "--when", "latency > 100", "--since", "5m", "--chart", str(picture))
    shown = mesh.command("rules", "preview", *words)
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "▁" in shown.stdout
    assert "█" in shown.stdout


def test_a_pending_rule_says_when_it_fires(mesh: MeshProcess) -> None:
    made = mesh.json("rules", "create", "--monitor", "shop", "--title", "T", "--when", "latency > 100 for 1h")
    rule_id = made["rule"]["id"]

    def pending() -> dict[str, object] | None:
        (instance,) = mesh.json("rules", "explain", rule_id)["instances"]
        return instance if instance["state"] == "pending" else None

    instance = wait_for(pending, "the rule to be pending")
    assert (instance["monitor"], instance["value"]) == ("shop", 130.0)
    assert str(instance["text"]).startswith("it's 130, and > 100 since ")
    assert str(instance["text"]).endswith("Z unless that changes before")
    (alert,) = [
        one for one in mesh.json("alerts", "list", "--limit", "100")["alerts"] if one["title"].startswith("p90")
    ]
    (instance,) = mesh.json("rules", "explain", str(alert["id"]))["instances"]
    assert instance["state"] == "firing"
    assert "is firing: it fires since " in mesh.command("rules", "explain", str(alert["id"])).stdout
