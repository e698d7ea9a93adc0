"""What goes wrong with a source is told with its fix, never takes a part for the whole, and is over when it's over."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from monitors.evaluator.sources import csv_blocks, flux, http, influxql
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.errors import SourceError, SourceRefused, SourceUnavailable
from monitors.evaluator.sources.port import EVERYTHING, Selection
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.masking import Secret
from tests.evaluator.sources.parts import T0, Database, Reader, opened
from tests.harness import LoopThread
from tests.processes import receiver
from tests.servers.influxdb import InfluxServer, influx_server, needs_influxdb
from tests.servers.influxdb2 import ORG, TOKEN, Influx2
from tests.servers.influxdb2_points import SHARD
from tests.servers.wire import Wire, wire

MANY = "\n".join(f"monitor_data,monitor_id=m{n % 100} value={n} {T0 + n}" for n in range(20_000))
SOME = "\n".join(MANY.splitlines()[:2_000])


@pytest.fixture
def wired(database: Database) -> Iterator[tuple[Database, Wire]]:
    """A database behind a wire."""
    with wire(urlsplit(database.settings.url).port or 0) as one:
        yield database._replace(settings=replace(database.settings, url=one.url, timeout=0.5)), one


def _failure(loop_thread: LoopThread, settings: InfluxSettings) -> SourceError:
    with pytest.raises(SourceError) as caught, loop_thread.opened(opened(settings)) as source:
        Reader(source, loop_thread).read(EVERYTHING, T0, T0 + 10)
    return caught.value


# --- what somebody has to mend ---


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"token": Secret("CANARY")}, 401, "INFLUXDB_TOKEN"),
        ({"org": "acme"}, 404, "INFLUXDB_ORG"),
        ({"bucket": "nosuch"}, 404, "INFLUXDB_BUCKET"),
    ],
)
def test_of_a_2x_the_credential_the_organisation_and_the_bucket_may_be_wrong(
    loop_thread: LoopThread, database_of_double: Database, change: dict[str, object], status: int, told: str
) -> None:
    error = _failure(loop_thread, replace(database_of_double.settings, **change))  # type: ignore[arg-type]
    assert isinstance(error, SourceRefused)
    assert (error.status, told in error.message) == (status, True)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InfluxServer]:
    """A real server that asks for a password."""
    with influx_server(tmp_path_factory.mktemp("guarded"), auth=True) as server:
        server.query("CREATE USER nobody WITH PASSWORD 'secret'")
        server.query("CREATE USER reader WITH PASSWORD 'secret'")
        server.query("GRANT READ ON monitors TO reader")
        server.write(f"crypto_price,monitor_id=btc price=1 {T0}")
        yield server


@needs_influxdb
@pytest.mark.parametrize(
    ("username", "password", "bucket", "told"),
    [
        ("reader", "CANARY", "monitors", "INFLUXDB_TOKEN"),
        ("", "", "monitors", "INFLUXDB_TOKEN"),
        ("nobody", "secret", "monitors", "right to"),
        ("admin", "secret", "nosuch", "INFLUXDB_BUCKET"),
        ("reader", "secret", "monitors/nosuch", "INFLUXDB_BUCKET"),
    ],
)
def test_of_a_1x_the_password_and_the_database_may_be_wrong(
    loop_thread: LoopThread, guarded: InfluxServer, username: str, password: str, bucket: str, told: str
) -> None:
    settings = InfluxSettings(guarded.url, username=username, password=Secret(password), bucket=bucket)
    error = _failure(loop_thread, settings)
    assert isinstance(error, SourceRefused)
    assert told in error.message


@needs_influxdb
@pytest.mark.parametrize(
    "credential", [{"username": "reader", "password": Secret("secret")}, {"token": Secret("reader:secret")}]
)
@pytest.mark.parametrize("bucket", ["monitors", "monitors/autogen"])
def test_a_user_and_a_password_are_what_a_1x_reads_with(
    loop_thread: LoopThread, guarded: InfluxServer, credential: dict[str, object], bucket: str
) -> None:
    settings = InfluxSettings(guarded.url, bucket=bucket, **credential)  # type: ignore[arg-type]
    with loop_thread.opened(opened(settings)) as source:
        assert len(Reader(source, loop_thread).read()) == 1


def test_no_credential_is_in_an_error_or_in_the_log(
    loop_thread: LoopThread, wired: tuple[Database, Wire], caplog: pytest.LogCaptureFixture
) -> None:
    database, one = wired
    caplog.set_level(logging.DEBUG)
    settings = replace(database.settings, token=Secret("CANARY"), username="me", password=Secret("CANARY"))
    told = ""
    with loop_thread.opened(opened(settings)) as source:
        for cut in (None, 0):
            one.cut_after = cut
            try:
                Reader(source, loop_thread).read()
            except SourceError as error:
                told += "".join(map(repr, [error, error.__cause__, error.__context__, vars(error)]))
        told += repr(source)
    assert "CANARY" not in caplog.text + told


# --- what passes ---


def test_a_server_that_is_away_is_unavailable_and_then_answers_again(
    loop_thread: LoopThread, wired: tuple[Database, Wire]
) -> None:
    database, one = wired
    database.write(f"crypto_price,monitor_id=btc price=1 {T0}")
    with loop_thread.opened(database.opened()) as source:
        reader = Reader(source, loop_thread)
        assert len(reader.read()) == 1
        one.cut_after = 0
        for _ in range(2):
            with pytest.raises(SourceUnavailable):
                reader.read()
        one.cut_after = None
        assert len(reader.read()) == 1


@needs_influxdb
def test_a_real_server_is_stopped_and_started(loop_thread: LoopThread, tmp_path: Path) -> None:
    with influx_server(tmp_path) as server, loop_thread.opened(opened(InfluxSettings(server.url))) as source:
        reader = Reader(source, loop_thread)
        server.write(f"crypto_price,monitor_id=btc price=1 {T0}")
        assert len(reader.read()) == 1
        server.stop()
        with pytest.raises(SourceUnavailable, match=r"can't be reached.*INFLUXDB_URL"):
            reader.read()
        server.start()
        server.write(f"crypto_price,monitor_id=btc price=2 {T0 + 1}")
        assert [value for _, _, value in reader.read()] == [1.0, 2.0]
        assert len(source.series) == 1


def test_nobody_at_the_address_is_unavailable(loop_thread: LoopThread) -> None:
    for major in (None, 1, 2):
        error = _failure(loop_thread, InfluxSettings("http://127.0.0.1:1", major=major))
        assert isinstance(error, SourceUnavailable)
        assert "can't be reached" in error.message


def test_m6_an_answer_that_is_cut_is_an_error_after_its_first_parts(
    loop_thread: LoopThread, wired: tuple[Database, Wire]
) -> None:
    database, one = wired
    database.write(MANY)
    with loop_thread.opened(database.opened()) as source:
        one.cut_after = 200_000
        with pytest.raises(SourceUnavailable):
            Reader(source, loop_thread).read()


def test_an_answer_that_stands_still_is_given_up(loop_thread: LoopThread, wired: tuple[Database, Wire]) -> None:
    database, one = wired
    database.write(MANY)
    with loop_thread.opened(database.opened()) as source:
        for silent_after in (200_000, 0):
            one.silent_after = silent_after
            with pytest.raises(SourceUnavailable, match="INFLUXDB_TIMEOUT"):
                Reader(source, loop_thread).read()


def test_who_leaves_an_answer_early_gives_its_connection_back(
    loop_thread: LoopThread, database: Database, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flux, "PIECE", 1_000)
    monkeypatch.setattr(influxql, "PIECE", 1_000)
    monkeypatch.setattr(csv_blocks, "BLOCK", 1_000)
    database.write(SOME)

    async def leave() -> None:
        answer = reader.source.read(EVERYTHING, T0, T0 + 20_000)
        await anext(answer)
        await answer.aclose()

    for _ in range(6):
        loop_thread.run(leave())
    assert len(reader.read()) == 2_000


# --- 2.x ---


def test_a_busy_2x_is_asked_again_but_not_for_long(double: Influx2, reader_of_double: Reader) -> None:
    double.write(f"crypto_price,monitor_id=btc price=1 {T0}")
    double.faults.statuses = [503, 503]
    assert len(reader_of_double.read()) == 1
    double.faults.statuses = [503, 503, 503]
    with pytest.raises(SourceUnavailable, match="503"):
        reader_of_double.read()
    double.faults.statuses = [429, 503]
    with pytest.raises(SourceUnavailable, match="429"):
        reader_of_double.read()
    assert double.faults.statuses == [503]


def test_an_error_at_the_end_of_a_2x_answer_is_an_error(double: Influx2, reader_of_double: Reader) -> None:
    double.write(f"a,monitor_id=m x=1 {T0}\nb,monitor_id=m x=1 {T0}")
    double.faults.error_after = (1, "panic: runtime error")
    with pytest.raises(SourceUnavailable, match="panic"):
        reader_of_double.read()


def test_a_field_that_is_of_two_types_is_read_series_by_series(double: Influx2, reader_of_double: Reader) -> None:
    double.write(f"a,monitor_id=m x=1 {T0}\na,monitor_id=n x=2i {T0 + SHARD}")
    told = [(series.type.name, value) for series, _, value in reader_of_double.read()]
    assert sorted(told) == [("FLOAT", 1.0), ("INTEGER", 2)]
    # It's known from now on.
    asked = len(double.queries)
    reader_of_double.read()
    assert len(double.queries) == asked + 1


def test_answers_from_elsewhere_are_packed(
    double: Influx2, database_of_double: Database, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(flux, "is_local", lambda _: False)
    double.write(SOME)
    with loop_thread.opened(database_of_double.opened()) as source:
        assert len(Reader(source, loop_thread).read()) == 2_000
    assert "gzip" in double.headers[-1]["Accept-Encoding"]


def test_a_series_that_changes_its_type_within_a_range_is_an_error(double: Influx2, reader_of_double: Reader) -> None:
    double.write(f"a,monitor_id=m x=1 {T0}\na,monitor_id=m x=2i {T0 + SHARD}")
    with pytest.raises(SourceUnavailable, match="expected float cursor"):
        reader_of_double.read()
    assert [value for _, _, value in reader_of_double.read(EVERYTHING, T0 + SHARD, T0 + SHARD)] == [2]


# --- 1.x ---


@needs_influxdb
def test_a_1x_that_stops_at_a_limit_of_its_own_says_so(loop_thread: LoopThread, tmp_path: Path) -> None:
    with influx_server(tmp_path, limits="max-select-series = 10") as server:
        server.write(MANY)
        with loop_thread.opened(opened(InfluxSettings(server.url))) as source:
            reader = Reader(source, loop_thread)
            with pytest.raises(SourceError, match="max-select-series"):
                reader.read()
            assert len(reader.read(Selection(("m7",)), T0, T0 + 1_000)) == 10


@needs_influxdb
def test_whole_numbers_that_became_fractions_are_one_series(
    database_of_influx: Database, reader_of_influx: Reader
) -> None:
    database_of_influx.write(f"a,monitor_id=m x=1i {T0}")
    database_of_influx.write(f"a,monitor_id=m x=2.5 {T0 + SHARD}")
    assert [(series.type.name, value) for series, _, value in reader_of_influx.read()] == [
        ("FLOAT", 1.0),
        ("FLOAT", 2.5),
    ]


@needs_influxdb
def test_a_3x_is_asked_in_the_url_for_one_statement_at_a_time(
    loop_thread: LoopThread, influx: InfluxServer, database_of_influx: Database
) -> None:
    database_of_influx.renew()
    influx.write(f"a,monitor_id=m x=1 {T0}\nb,monitor_id=m x=1 {T0}")
    with wire(influx.port) as one, loop_thread.opened(opened(InfluxSettings(one.url, major=3))) as source:
        assert len(Reader(source, loop_thread).read(Selection(("m",), ("a", "b")), T0, T0)) == 2
        asked = one.asked.decode()
    assert asked.count("GET /query?") == 4
    assert "POST" not in asked
    assert "%3B" not in asked
    assert "params=" not in asked
    assert "%22monitor_id%22%3A%3Atag+%3D+%27m%27" in asked


@needs_influxdb
def test_a_url_has_room_for_ids_of_any_length_whoever_has_made_them(
    loop_thread: LoopThread, influx: InfluxServer, database_of_influx: Database
) -> None:
    database_of_influx.renew()
    long = [256 * chr(ord("😀") + number) for number in range(30)]
    influx.write("\n".join(f"a,host=h,monitor_id={monitor} x=1 {T0}" for monitor in long))
    with wire(influx.port) as one, loop_thread.opened(opened(InfluxSettings(one.url, major=3))) as source:
        found = Reader(source, loop_thread).read(Selection((*long, "m"), ("a",)), T0, T0)
        asked = one.asked
    assert {series.monitor for series, _, _ in found} == {*long}
    assert max(len(line) for line in asked.split(b"\r\n")) <= influxql.LONGEST_URL


@needs_influxdb
@pytest.mark.parametrize(("local", "encoding"), [(False, "gzip"), (True, "identity")])
def test_a_1x_elsewhere_packs_its_answers(
    loop_thread: LoopThread,
    database_of_influx: Database,
    monkeypatch: pytest.MonkeyPatch,
    local: bool,
    encoding: str,
) -> None:
    monkeypatch.setattr(http, "is_local", lambda _: local)
    database_of_influx.renew()
    database_of_influx.write(SOME)
    port = urlsplit(database_of_influx.settings.url).port or 0
    with wire(port) as one, loop_thread.opened(opened(InfluxSettings(one.url))) as source:
        assert len(Reader(source, loop_thread).read()) == 2_000
        assert f"Accept-Encoding: {encoding}".encode() in one.asked


# --- who answers ---


@needs_influxdb
def test_who_answers_is_found_out_or_believed(loop_thread: LoopThread, double: Influx2, influx: InfluxServer) -> None:
    for url, major, version in [
        (double.url, None, (2, "v2.7.12")),
        (influx.url, None, (1, "1.6.7~rc0")),
        (double.url, 3, (3, "3")),
    ]:
        with loop_thread.opened(opened(InfluxSettings(url, major=major))) as source:
            assert source.version == version


def test_what_is_no_influxdb_is_refused_and_sees_no_token(loop_thread: LoopThread) -> None:
    with receiver() as other, pytest.raises(SourceRefused, match="INFLUXDB_VERSION"):
        loop_thread.run(open_source(InfluxSettings(other.url.removesuffix("/hook"), Secret(TOKEN), ORG)))
