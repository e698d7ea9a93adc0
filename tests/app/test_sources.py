"""Which InfluxDB the evaluator reads, and whose monitors are there, from the environment."""

from pathlib import Path

import pytest

from monitors.app.sources import polling_of
from monitors.mesh.config import BadSetting, load_settings
from monitors.mesh.times import SECOND
from tests.harness import LoopThread
from tests.identity.user_system import UserTables, sqlite_at

INFLUX = {"INFLUXDB_URL": "http://influx:8086"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("INFLUXDB_URL", "MONITORS_INFLUXDB_TENANT", "IDENTITY_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def owners(environment: pytest.MonkeyPatch, loop: LoopThread, **values: str) -> dict[str, str]:
    for name, value in {**INFLUX, **values}.items():
        environment.setenv(name, value)
    with polling_of(load_settings()) as polling:
        assert polling is not None
        return dict(loop.run(polling.owners.owners(["mon_a", "mon_b"])))


def test_without_an_influxdb_nothing_is_polled(environment: pytest.MonkeyPatch) -> None:
    with polling_of(load_settings()) as polling:
        assert polling is None


def test_all_monitors_are_the_local_tenants_or_those_of_the_one_that_is_named(
    environment: pytest.MonkeyPatch, loop_thread: LoopThread
) -> None:
    assert owners(environment, loop_thread) == {"mon_a": "local", "mon_b": "local"}
    assert owners(environment, loop_thread, MONITORS_INFLUXDB_TENANT="acme") == {"mon_a": "acme", "mon_b": "acme"}


def test_beside_a_user_system_they_are_whose_that_says(
    environment: pytest.MonkeyPatch, loop_thread: LoopThread, tmp_path: Path
) -> None:
    url = sqlite_at(tmp_path)
    UserTables(url).add_monitor("mon_a", "user_a")
    assert owners(environment, loop_thread, IDENTITY_DATABASE_URL=url) == {"mon_a": "user_a"}


def test_the_meshs_own_endpoint_is_no_source(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("INFLUXDB_URL", "http://127.0.0.1:8087")
    with pytest.raises(BadSetting, match="own endpoint"), polling_of(load_settings()):
        pass


def test_polls_are_set_in_seconds_and_nonsense_is_refused() -> None:
    poll = load_settings(
        {
            "MONITORS_INFLUXDB_POLL_SECONDS": "2",
            "MONITORS_INFLUXDB_LATENESS_SECONDS": "0.5",
            "MONITORS_INFLUXDB_TENANT": "acme",
        }
    ).evaluator.poll
    assert (poll.interval, poll.allowance, poll.tenant) == (2.0, SECOND // 2, "acme")
    for name, value in (
        ("MONITORS_INFLUXDB_POLL_SECONDS", "0"),
        ("MONITORS_INFLUXDB_LATENESS_SECONDS", "-1"),
        ("MONITORS_INFLUXDB_TENANT", "a b"),
    ):
        with pytest.raises(BadSetting, match=name):
            load_settings({name: value})
