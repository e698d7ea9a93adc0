"""Fixtures: the databases that a source may read, each with the same contract."""

from collections.abc import Iterator

import pytest

from monitors.evaluator.sources.settings import InfluxSettings
from tests.evaluator.sources.parts import Database, Reader
from tests.harness import LoopThread
from tests.servers.influxdb import InfluxServer, influx_server, needs_influxdb


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A real InfluxDB 1.x."""
    with influx_server(tmp_path_factory.mktemp("influxdb")) as server:
        yield server


@pytest.fixture(params=[pytest.param("influx", marks=needs_influxdb)])
def database(request: pytest.FixtureRequest) -> Database:
    """Each kind of database, empty."""
    found: Database = request.getfixturevalue(f"database_of_{request.param}")
    found.renew()
    return found


@pytest.fixture
def database_of_influx(influx: InfluxServer) -> Database:
    """The real InfluxDB 1.x."""

    def renew() -> None:
        influx.query("DROP DATABASE monitors")
        influx.create_database()

    return Database("influxdb 1", InfluxSettings(influx.url), influx.write, renew)


@pytest.fixture
def reader(loop_thread: LoopThread, database: Database) -> Iterator[Reader]:
    """A source of the database."""
    with loop_thread.opened(database.opened()) as source:
        yield Reader(source, loop_thread)
