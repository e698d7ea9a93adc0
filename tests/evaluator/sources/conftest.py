"""Fixtures: the databases that a source may read, each with the same contract."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.masking import Secret
from tests.evaluator.sources.parts import Database, Reader
from tests.harness import LoopThread
from tests.servers.influxdb import InfluxServer, influx_server, needs_influxdb
from tests.servers.influxdb2 import ORG, TOKEN, Influx2, influx2
from tests.servers.influxdb2_points import Bucket


@pytest.fixture(scope="session")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A real InfluxDB 1.x."""
    with influx_server(tmp_path_factory.mktemp("influxdb")) as server:
        yield server


@pytest.fixture
def double() -> Iterator[Influx2]:
    """The double of InfluxDB 2.x."""
    with influx2() as one:
        yield one


@pytest.fixture(
    params=[pytest.param("influx", marks=needs_influxdb), pytest.param("literals", marks=needs_influxdb), "double"]
)
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
def database_of_literals(database_of_influx: Database) -> Database:
    """The same, asked as 3.x is: without parameters, one statement at a time."""
    return database_of_influx._replace(settings=replace(database_of_influx.settings, major=3))


@pytest.fixture
def database_of_double(double: Influx2) -> Database:
    """The double of InfluxDB 2.x."""

    def renew() -> None:
        double.buckets["monitors"] = Bucket()

    return Database("influxdb 2", InfluxSettings(double.url, Secret(TOKEN), ORG), double.write, renew)


@pytest.fixture
def reader(loop_thread: LoopThread, database: Database) -> Iterator[Reader]:
    """A source of the database."""
    with loop_thread.opened(database.opened()) as source:
        yield Reader(source, loop_thread)


@pytest.fixture
def reader_of_double(loop_thread: LoopThread, database_of_double: Database) -> Iterator[Reader]:
    """A source of the double."""
    with loop_thread.opened(database_of_double.opened()) as source:
        yield Reader(source, loop_thread)


@pytest.fixture
def reader_of_influx(loop_thread: LoopThread, database_of_influx: Database) -> Iterator[Reader]:
    """A source of the real InfluxDB 1.x, emptied."""
    database_of_influx.renew()
    with loop_thread.opened(database_of_influx.opened()) as source:
        yield Reader(source, loop_thread)
