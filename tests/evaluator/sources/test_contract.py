"""What every source does: the same points in, the same columns out."""

import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from monitors.evaluator.model.series import FieldType
from monitors.evaluator.sources import flux_text, influxql
from monitors.evaluator.sources.port import EVERYTHING, Selection, SourceSeries
from tests.evaluator.sources.parts import T0, Database, Reader, Value, Written

FLOAT, INTEGER, BOOLEAN, STRING = FieldType.FLOAT, FieldType.INTEGER, FieldType.BOOLEAN, FieldType.STRING
PRICE = SourceSeries("btc", "crypto_price", "price", (), FLOAT)
INT64 = st.integers(-(2**63), 2**63 - 1)
# What neither line protocol nor InfluxQL's CSV can carry: control characters but line breaks within texts.
ODD = st.text(st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"), max_size=20)
NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("\"'\\ ,=`$;-#/*%"), min_size=1, max_size=12
).filter(lambda name: not name.endswith("\\") and not name.startswith(("_", "#")) and name.strip() == name)
on_a_server = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
times = itertools.count(T0)


def test_the_shapes_of_the_first_product_are_read_as_they_are(database: Database, reader: Reader) -> None:
    database.write(
        "\n".join(
            [
                f"monitor_data,monitor_id=mon_1 value=1.5 {T0}",
                (
                    "website_check,monitor_id=mon_2,url=https://a.example "
                    f'response_time=120.5,status_code=200i,is_up=true,note="ok" {T0}'
                ),
                f"crypto_price,monitor_id=btc price=60000 {T0}",
            ]
        )
    )
    url = (("url", "https://a.example"),)
    assert sorted(reader.read()) == [
        (SourceSeries("btc", "crypto_price", "price", (), FLOAT), T0, 60000.0),
        (SourceSeries("mon_1", "monitor_data", "value", (), FLOAT), T0, 1.5),
        (SourceSeries("mon_2", "website_check", "is_up", url, BOOLEAN), T0, True),
        (SourceSeries("mon_2", "website_check", "note", url, STRING), T0, "ok"),
        (SourceSeries("mon_2", "website_check", "response_time", url, FLOAT), T0, 120.5),
        (SourceSeries("mon_2", "website_check", "status_code", url, INTEGER), T0, 200),
    ]


def test_a_point_without_a_monitors_tag_is_its_hosts_or_else_its_measurements(
    database: Database, reader: Reader
) -> None:
    database.write(
        f"cpu,host=web1,cpu=cpu0 used=1 {T0}\ncpu,cpu=cpu0 used=2 {T0}\ncpu,host=web1,monitor_id=m used=3 {T0}"
    )
    assert sorted(reader.read()) == [
        (SourceSeries("cpu", "cpu", "used", (("cpu", "cpu0"),), FLOAT), T0, 2.0),
        (SourceSeries("m", "cpu", "used", (("host", "web1"),), FLOAT), T0, 3.0),
        (SourceSeries("web1", "cpu", "used", (("cpu", "cpu0"),), FLOAT), T0, 1.0),
    ]


@pytest.mark.parametrize(("monitor", "value"), [("cpu", 2.0), ("web1", 1.0), ("m", 3.0)])
def test_a_monitor_is_selected_by_whatever_names_it(
    database: Database, reader: Reader, monitor: str, value: float
) -> None:
    database.write(
        f"cpu,host=web1,cpu=cpu0 used=1 {T0}\ncpu,cpu=cpu0 used=2 {T0}\ncpu,host=web1,monitor_id=m used=3 {T0}\n"
        f"cpu,host=cpu2,monitor_id=n used=4 {T0}\nuntagged used=5 {T0}"
    )
    assert [told[2] for told in reader.read(Selection((monitor,)))] == [value]
    assert [told[2] for told in reader.newest(Selection((monitor,)))] == [value]


def test_a_measurement_without_tags_is_a_monitor(database: Database, reader: Reader) -> None:
    database.write(f"untagged used=5 {T0}\nother used=6 {T0}")
    assert [told[2] for told in reader.read(Selection(("untagged", "nosuch")))] == [5.0]


def test_fields_and_measurements_are_selected_by_name(database: Database, reader: Reader) -> None:
    database.write(f"a,monitor_id=m x=1,y=2 {T0}\nb,monitor_id=m x=3,y=4 {T0}")
    assert [told[2] for told in reader.read(Selection(measurements=("b",), fields=("x", "z")))] == [3.0]


def test_a_range_is_closed_at_both_ends_to_the_nanosecond(database: Database, reader: Reader) -> None:
    database.write("\n".join(f"crypto_price,monitor_id=btc price={number} {T0 + number}" for number in range(-2, 4)))
    assert [told[1] for told in reader.read(EVERYTHING, T0, T0 + 2)] == [T0, T0 + 1, T0 + 2]
    assert reader.read(EVERYTHING, T0, T0) == [(PRICE, T0, 0.0)]
    assert reader.newest(EVERYTHING, T0 - 1, T0) == [(PRICE, T0, 0.0)]


def test_there_may_be_nothing(database: Database, reader: Reader) -> None:
    assert reader.read() == []
    database.write(f"crypto_price,monitor_id=btc price=1 {T0}")
    assert reader.read(EVERYTHING, T0 + 1, T0 + 2) == []
    assert reader.read(Selection(())) == []
    assert reader.read(Selection(fields=("nosuch",))) == []


def test_of_two_points_of_one_time_the_last_written_is_there(database: Database, reader: Reader) -> None:
    for value in (1, 3, 2):
        database.write(f"crypto_price,monitor_id=btc price={value} {T0}")
    assert reader.read() == [(PRICE, T0, 2.0)]


def test_points_of_a_series_come_oldest_first(database: Database, reader: Reader) -> None:
    order = np.random.default_rng(1).permutation(200).tolist()
    database.write("\n".join(f"crypto_price,monitor_id=m{n % 3} price={n} {T0 + n}" for n in order))
    told = reader.read()
    assert len(told) == 200
    for monitor in ("m0", "m1", "m2"):
        own = [time for series, time, _ in told if series.monitor == monitor]
        assert own == sorted(own)


def test_a_place_stays_a_series_when_others_come(database: Database, reader: Reader) -> None:
    database.write("\n".join(f"crypto_price,monitor_id=m{n} price={n} {T0}" for n in range(20)))
    reader.read()
    before = list(reader.source.series)
    database.write("\n".join(f"crypto_price,monitor_id=m{n},region=eu price={n} {T0 + 1}" for n in range(0, 30, 3)))
    database.write("\n".join(f"crypto_price,monitor_id=m{n} price={n} {T0 + 1}" for n in range(0, 30, 2)))
    told = reader.read(EVERYTHING, T0 + 1, T0 + 1)
    assert reader.source.series[: len(before)] == before
    assert sorted((series.monitor, len(series.tags)) for series, _, _ in told) == sorted(
        [(f"m{n}", 1) for n in range(0, 30, 3)] + [(f"m{n}", 0) for n in range(0, 30, 2)]
    )
    assert all(value == float(series.monitor[1:]) for series, _, value in told)


def test_the_newest_point_of_each_series_tells_what_there_is(database: Database, reader: Reader) -> None:
    database.write(
        f"site,monitor_id=a up=true,ms=10 {T0}\nsite,monitor_id=a ms=20 {T0 + 1}\nsite,monitor_id=b up=false {T0 + 2}"
    )
    assert sorted(reader.newest()) == [
        (SourceSeries("a", "site", "ms", (), FLOAT), T0 + 1, 20.0),
        (SourceSeries("a", "site", "up", (), BOOLEAN), T0, True),
        (SourceSeries("b", "site", "up", (), BOOLEAN), T0 + 2, False),
    ]


def test_a_long_list_of_ids_is_asked_for_in_pages(
    database: Database, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(influxql, "IDS_AT_ONCE", 7)
    monkeypatch.setattr(influxql, "IDS_IN_URL", 7)
    monkeypatch.setattr(flux_text, "IDS_AT_ONCE", 7)
    database.write("\n".join(f"crypto_price,monitor_id=m{n} price={n} {T0}" for n in range(100)))
    wanted = tuple(f"m{n}" for n in range(0, 150, 2))
    assert sorted(told[2] for told in reader.read(Selection(wanted))) == [float(n) for n in range(0, 100, 2)]


def test_a_hundred_thousand_points_come_in_parts(database: Database, reader: Reader) -> None:
    database.write(
        "\n".join(f"monitor_data,monitor_id=m{n % 1000} value={n},code={n}i {T0 + n}" for n in range(50_000))
    )
    parts = reader.parts()
    assert len(parts) > 1
    assert sum(len(part) for part in parts) == 100_000
    assert len(reader.source.series) == 2_000
    assert np.unique(np.concatenate([part.times for part in parts])).tolist() == list(range(T0, T0 + 50_000))


def _back(database: Database, reader: Reader, value: Value) -> Value:
    time = next(times)
    database.write(Written(f"v_{type(value).__name__}", {"monitor_id": "m"}, "value", value, time).line)
    ((_, _, found),) = reader.read(EVERYTHING, time, time)
    return found


@on_a_server
@given(value=st.floats(allow_nan=False, allow_infinity=False))
@example(-0.0)
@example(5e-324)
@example(1.7976931348623157e308)
@example(2.2250738585072011e-308)
def test_every_finite_double_comes_back_to_the_bit(database: Database, reader: Reader, value: float) -> None:
    found = _back(database, reader, value)
    assert isinstance(found, float)
    assert np.float64(found).tobytes() == np.float64(value).tobytes()


@on_a_server
@given(value=INT64)
@example(-(2**63))
@example(2**63 - 1)
def test_every_integer_comes_back(database: Database, reader: Reader, value: int) -> None:
    assert _back(database, reader, value) == value


@on_a_server
@given(value=ODD)
@example('"')
@example('a"b,c\n\nd""')
@example("")
@example("NaN")
def test_every_text_comes_back(database: Database, reader: Reader, value: str) -> None:
    assert _back(database, reader, value) == value


@on_a_server
@given(measurement=NAMES, tag=NAMES, tag_value=NAMES, field=NAMES)
def test_names_of_any_characters_are_asked_for_and_come_back(
    database: Database, reader: Reader, measurement: str, tag: str, tag_value: str, field: str
) -> None:
    time = next(times)
    if tag in ("time", field) or field == "time":
        return
    database.write(Written(measurement, {tag: tag_value}, field, 1.5, time).line)
    monitor, tags = (tag_value, ()) if tag in ("host", "monitor_id") else (measurement, ((tag, tag_value),))
    series = SourceSeries(monitor, measurement, field, tags, FLOAT)
    assert reader.read(Selection((monitor,), (measurement,), (field,)), time, time) == [(series, time, 1.5)]
