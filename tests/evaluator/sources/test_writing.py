"""Points that are written to a source and read back are the same, to the last bit; what it refuses is told."""

import itertools
import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from monitors.evaluator.lines import MONITOR_TAGS
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.points import Points
from monitors.evaluator.sources.errors import SourceUnavailable, WriteRefused
from monitors.evaluator.sources.line_text import lines_of, named
from monitors.evaluator.sources.port import Selection, SourceSeries
from monitors.mesh.masking import Secret
from tests.evaluator.sources.parts import T0, Database, Reader, Told, Value
from tests.harness import LoopThread
from tests.servers.influxdb import InfluxServer, needs_influxdb
from tests.servers.influxdb2 import Influx2

NAMES = st.text("aZ09 ,=\\\"'#.-_$/é中😀", min_size=1, max_size=8)
TEXTS = st.text("aZ09 ,=\\\"'\n\t#é中😀\u2028", max_size=10)
VALUES: dict[FieldType, st.SearchStrategy[Value]] = {
    FieldType.FLOAT: st.floats(allow_nan=False, allow_infinity=False),
    FieldType.INTEGER: st.integers(-(2**63), 2**63 - 1),
    FieldType.BOOLEAN: st.booleans(),
    FieldType.STRING: TEXTS,
}
EXAMPLES = itertools.count()
DATABASES = [pytest.param("influx", marks=needs_influxdb), "double"]


@st.composite
def told(draw: st.DrawFn) -> list[tuple[SourceSeries, str, int, Value]]:
    """Points with the tag that names their monitor: one a series and time, and each field of one type."""
    kinds: dict[tuple[str, str], FieldType] = {}
    found: dict[tuple[SourceSeries, int], tuple[SourceSeries, str, int, Value]] = {}
    for _ in range(draw(st.integers(1, 12))):
        measurement, field = draw(NAMES), draw(NAMES)
        kind = kinds.setdefault((measurement, field), draw(st.sampled_from(list(VALUES))))
        tag = draw(st.sampled_from([*MONITOR_TAGS, ""]))
        tags = draw(st.dictionaries(NAMES.filter(lambda name: name not in MONITOR_TAGS), NAMES, max_size=3))
        monitor = draw(NAMES) if tag else measurement
        series = SourceSeries(monitor, measurement, field, tuple(sorted(tags.items())), kind)
        time = T0 + draw(st.integers(0, 10**15))
        found[series, time] = series, tag, time, draw(VALUES[kind])
    return list(found.values())


def of_example(series: SourceSeries, tag: str, number: int) -> SourceSeries:
    measurement = f"{number} {series.measurement}"
    return series._replace(measurement=measurement, monitor=series.monitor if tag else measurement)


def as_points(rows: list[tuple[SourceSeries, str, int, Value]]) -> Points:
    texts: list[str] = []

    def bits(value: Value) -> int:
        if isinstance(value, str):
            texts.append(value)
            return len(texts) - 1
        if isinstance(value, bool):
            return int(value)
        return int(struct.unpack("<Q", struct.pack("<d" if isinstance(value, float) else "<q", value))[0])

    values = np.array([bits(value) for *_, value in rows], np.uint64)
    times = np.array([time for _, _, time, _ in rows], np.int64)
    return Points(np.arange(len(rows), dtype=np.int32), times, values, tuple(texts))


def lines(rows: list[tuple[SourceSeries, str, int, Value]]) -> bytes:
    names = [named(series, tag) for series, tag, _, _ in rows]
    assert None not in names
    return b"".join(lines_of(as_points(rows), [one for one in names if one], np.arange(len(rows))))


def plain(found: list[Told]) -> list[tuple[SourceSeries, int, str]]:
    # As texts, since -0.0 and 0.0 are equal otherwise.
    return sorted((series, time, repr(value)) for series, time, value in found)


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> Database:
    found: Database = request.getfixturevalue(f"database_of_{request.param}")
    return found


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=told())
def test_what_is_written_is_read_back_as_it_was(
    reader: Reader, database: Database, loop_thread: LoopThread, rows: list[tuple[SourceSeries, str, int, Value]]
) -> None:
    # Measurements of its own, which is sooner done than to empty the database.
    number = next(EXAMPLES)
    rows = [(of_example(series, tag, number), tag, time, value) for series, tag, time, value in rows]
    rows = [(series, tag, time, value) for series, tag, time, value in rows if named(series, tag)]
    assume(rows)
    loop_thread.run(reader.source.write(lines(rows)))
    own = Selection(measurements=tuple({series.measurement for series, *_ in rows}))
    assert plain(reader.read(own)) == plain([(series, time, value) for series, _, time, value in rows])


@pytest.mark.parametrize(
    "series",
    [
        SourceSeries("m", "back\\", "f", (), FieldType.FLOAT),
        SourceSeries("m", "#comment", "f", (), FieldType.FLOAT),
        SourceSeries("m", "ok", "back\\", (), FieldType.FLOAT),
        SourceSeries("m", "ok", 'quo\\"te', (), FieldType.FLOAT),
        SourceSeries("m", "ok", 'like="text', (), FieldType.FLOAT),
        SourceSeries("m", "ok", "f", (("t", "before\\ space"),), FieldType.FLOAT),
        SourceSeries("m", "ok", "f", (("t", "back\\"), ("u", "x")), FieldType.FLOAT),
        SourceSeries("m", "ok", "f", (("monitor_id", "another"),), FieldType.FLOAT),
    ],
)
def test_what_line_protocol_cannot_say_is_not_said_wrongly(series: SourceSeries) -> None:
    assert named(series, "monitor_id") is None


def test_a_type_conflict_is_told_in_the_servers_words(
    reader: Reader, database: Database, loop_thread: LoopThread
) -> None:
    database.renew()
    database.write(f"m,monitor_id=a x=1 {T0}")
    with pytest.raises(WriteRefused, match="already exists as type float"):
        loop_thread.run(reader.source.write(f"m,monitor_id=a x=1i {T0 + 1}\nm,monitor_id=a y=1i {T0 + 1}\n".encode()))
    assert {series.field for series, *_ in reader.read()} == {"x", "y"}


@needs_influxdb
def test_a_1x_says_that_it_knows_no_unsigned_numbers(reader_of_influx: Reader, loop_thread: LoopThread) -> None:
    with pytest.raises(WriteRefused, match="invalid number"):
        loop_thread.run(reader_of_influx.source.write(f"m x=1u {T0}\n".encode()))


Change = Callable[[Database], Database]


def other_bucket(database: Database) -> Database:
    return database._replace(settings=replace(database.settings, bucket="missing"))


def nobody_there(database: Database) -> Database:
    return database._replace(settings=replace(database.settings, url="http://127.0.0.1:1", major=1))


@pytest.mark.parametrize(("change", "words"), [(other_bucket, "INFLUXDB_BUCKET"), (nobody_there, "can't be reached")])
def test_what_only_the_operator_can_mend_is_to_be_written_again(
    database: Database, loop_thread: LoopThread, change: Change, words: str
) -> None:
    with loop_thread.opened(change(database).opened()) as source:
        with pytest.raises(SourceUnavailable, match=words) as raised:
            loop_thread.run(source.write(f"m x=1 {T0}\n".encode()))
        assert raised.value.retry_after


def test_a_wrong_token_is_to_be_written_again(
    double: Influx2, database_of_double: Database, loop_thread: LoopThread
) -> None:
    settings_ = replace(database_of_double.settings, token=Secret("wrong-secret"))
    with loop_thread.opened(database_of_double._replace(settings=settings_).opened()) as source:
        with pytest.raises(SourceUnavailable, match="INFLUXDB_TOKEN") as raised:
            loop_thread.run(source.write(f"m x=1 {T0}\n".encode()))
        assert "wrong-secret" not in str(raised.value)


@needs_influxdb
def test_a_retention_policy_is_written_to_where_one_is_named(
    influx: InfluxServer, loop_thread: LoopThread, database_of_influx: Database
) -> None:
    database_of_influx.renew()
    influx.query('CREATE RETENTION POLICY "short" ON "monitors" DURATION INF REPLICATION 1')
    settings_ = replace(database_of_influx.settings, bucket="monitors/short")
    with loop_thread.opened(database_of_influx._replace(settings=settings_).opened()) as source:
        loop_thread.run(source.write(f"m x=1 {T0}\n".encode()))
        ((_, _, value),) = Reader(source, loop_thread).read()
        assert value == 1
