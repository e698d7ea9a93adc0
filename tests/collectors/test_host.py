"""The collector of this machine, on this machine."""

from collections import Counter
from typing import Any

import psutil
import pytest
from line_protocol_parser import parse_line

from monitors.collectors.host import HostSampler, Rates

Point = dict[str, Any]


@pytest.fixture(scope="module")
def points() -> list[Point]:
    sampler = HostSampler()
    sampler.prime()
    # Percentages and rates are over the time since the baseline, so let there be some that isn't idle.
    start = psutil.cpu_times().user
    while psutil.cpu_times().user < start + 0.05:
        sum(range(10_000))
    return [parse_line(line) for line in sampler.sample()]


def fields_of(points: list[Point], measurement: str) -> Point:
    """The fields of the one point of a measurement."""
    (fields,) = [point["fields"] for point in points if point["measurement"] == measurement]
    return dict(fields)


def test_all_points_belong_to_mon_host_at_one_time(points: list[Point]) -> None:
    assert {point["tags"]["monitor_id"] for point in points} == {"mon_host"}
    assert len({point["time"] for point in points}) == 1


def test_a_field_name_belongs_to_one_measurement(points: list[Point]) -> None:
    owners = {(field, point["measurement"]) for point in points for field in point["fields"]}
    assert max(Counter(field for field, _ in owners).values()) == 1


@pytest.mark.parametrize("field", ["cpu_percent", "memory_percent", "swap_percent", "load1", "process_count"])
def test_the_fields_that_people_ask_for_are_one_series(points: list[Point], field: str) -> None:
    assert [point["tags"] for point in points if field in point["fields"]] == [{"monitor_id": "mon_host"}]


def test_percentages_are_percentages(points: list[Point]) -> None:
    values = [value for point in points for name, value in point["fields"].items() if name.endswith("_percent")]
    assert len(values) > 5
    assert all(isinstance(value, float) and 0 <= value <= 100 for value in values)


def test_the_processor_has_been_busy_since_the_baseline(points: list[Point]) -> None:
    assert fields_of(points, "cpu")["cpu_percent"] > 0
    cores = [point for point in points if point["measurement"] == "cpu_core"]
    assert len(cores) == psutil.cpu_count()


def test_memory_load_and_system_are_this_machines(points: list[Point]) -> None:
    memory = fields_of(points, "mem")
    assert memory["memory_total_bytes"] == psutil.virtual_memory().total
    assert 0 < memory["memory_used_bytes"] <= memory["memory_total_bytes"]
    assert set(fields_of(points, "load")) == {"load1", "load5", "load15"}
    system = fields_of(points, "system")
    assert system["process_count"] > 0
    assert system["uptime_seconds"] > 0


def test_the_root_is_among_the_disks_and_each_disk_is_there_once(points: list[Point]) -> None:
    paths = [point["tags"]["path"] for point in points if point["measurement"] == "disk"]
    assert "/" in paths
    assert len(paths) == len(set(paths))
    total = psutil.disk_usage("/").total
    disks = {point["tags"]["path"]: point["fields"] for point in points if point["measurement"] == "disk"}
    assert disks["/"]["disk_total_bytes"] == total


def test_the_loopback_is_not_a_network(points: list[Point]) -> None:
    assert "lo" not in {point["tags"].get("interface") for point in points}


def test_a_rate_needs_two_looks_and_a_counter_that_fell_has_none() -> None:
    rates = Rates()
    assert rates.of("net", 10.0, {"sent": 100, "received": 50}) == {}
    assert rates.of("net", 12.0, {"sent": 300, "received": 10}) == {"sent": 100.0}
    assert rates.of("net", 13.0, {"sent": 300, "received": 20}) == {"sent": 0.0, "received": 10.0}
    assert rates.of("other", 13.0, {"sent": 1}) == {}
