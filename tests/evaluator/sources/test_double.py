"""The double of InfluxDB 2.x: its unmodified client works with it, and it refuses what the server would."""

import gzip
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from influxdb_client import Dialect, InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from monitors.evaluator.sources.port import Selection
from tests.evaluator.sources.parts import T0, Reader
from tests.servers.influxdb2 import ORG, TOKEN, Influx2

QUERY = 'from(bucket: "monitors") |> range(start: 2020-01-01T00:00:00Z)'


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def client(request: pytest.FixtureRequest, double: Influx2) -> Iterator[Any]:
    """The client as anybody uses it."""
    with InfluxDBClient(double.url, TOKEN, org=ORG, enable_gzip=request.param) as one:
        yield one


def _write(client: Any) -> None:
    writer = client.write_api(write_options=SYNCHRONOUS)
    for number, region in enumerate(["eu", "us"]):
        point = Point("site").tag("monitor_id", "a, b=c").tag("region", region)
        point = point.field("ms", 1.5 + number).field("up", True).field("n", 7).field("note", 'a "b",\nc')
        writer.write(bucket="monitors", record=point.time(T0 + number))


def test_the_client_writes_and_queries(client: Any) -> None:
    _write(client)
    tables = client.query_api().query(f'{QUERY} |> filter(fn: (r) => r._field == "ms" and r.region == "us")')
    (record,) = [record for table in tables for record in table.records]
    assert (record.get_value(), record.get_measurement(), record["monitor_id"]) == (2.5, "site", "a, b=c")
    assert record.get_time().replace(tzinfo=UTC) == datetime.fromtimestamp(T0 // 10**9, UTC)
    notes = client.query_api().query_stream(f'{QUERY} |> filter(fn: (r) => r["_field"] == "note") |> last()')
    # The client reads line breaks within texts as they stand in the CSV.
    assert [record.get_value() for record in notes] == ['a "b",\r\nc'] * 2


def test_the_client_binds_parameters_and_chooses_a_dialect(client: Any, double: Influx2) -> None:
    _write(client)
    query = 'from(bucket: b) |> range(start: s) |> filter(fn: (r) => r["region"] == x and r._field == "n")'
    given = {"b": "monitors", "s": datetime(2020, 1, 1, tzinfo=UTC), "x": "eu"}
    dialect = Dialect(header=True, annotations=["datatype"], delimiter=",", comment_prefix="#")
    answer = client.query_api().query_raw(query, dialect=dialect, params=given).data.decode()
    assert answer.splitlines()[0].startswith("#datatype,string,long,dateTime:RFC3339")
    assert answer.splitlines()[2].startswith(",_result,0,2020-01-01T00:00:00Z,")
    assert '"' not in double.queries[-1]["extern"]["body"][0]["assignment"]["init"]["value"]


def test_the_client_is_told_what_is_wrong(double: Influx2) -> None:
    for token, org, query, status, told in [
        ("wrong", ORG, QUERY, 401, "unauthorized access"),
        (TOKEN, "acme", QUERY, 404, "organization name"),
        (TOKEN, ORG, QUERY.replace("monitors", "nosuch"), 404, "could not find bucket"),
        (TOKEN, ORG, QUERY + " |> yield()", 400, "compilation failed"),
        (TOKEN, ORG, QUERY + ' |> filter(fn: (r) => r.a == "b" or true)', 400, "compilation failed"),
        (TOKEN, ORG, QUERY + " |> filter(fn: (r) => r.a == nosuch)", 400, "undefined identifier nosuch"),
    ]:
        with InfluxDBClient(double.url, token, org=org) as client, pytest.raises(ApiException) as caught:
            client.query_api().query(query)
        assert caught.value.status == status
        assert told in json.loads(caught.value.body)["message"]


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "told"),
    [
        ("/api/v2/query", {}, {"query": QUERY}, 400, "orgID or org"),
        ("/api/v2/query?org=monitors", {"Content-Type": "text/plain"}, {"query": QUERY}, 400, "content type"),
        ("/api/v2/query?org=monitors", {"Content-Encoding": "br"}, {"query": QUERY}, 400, "content encoding"),
        ("/api/v2/query?org=monitors", {}, {"query": QUERY, "dialect": {"quote": "'"}}, 400, "dialect key"),
        ("/api/v2/query?org=monitors", {}, {"query": QUERY, "dialect": {"annotations": ["x"]}}, 400, "annotation"),
        ("/api/v2/query?org=monitors", {}, {"query": QUERY, "params": {"a": 1}}, 400, "Cloud"),
        ("/api/v2/query?org=monitors", {}, {"query": QUERY, "extern": {"body": [{"type": "X"}]}}, 400, "extern"),
        ("/api/v2/query?org=monitors", {}, {"flux": QUERY}, 400, "requires either query"),
        ("/api/v2/query?org=monitors", {"Authorization": f"Bearer {TOKEN}"}, {"query": QUERY}, 401, "unauthorized"),
        ("/api/v2/write?org=monitors&bucket=no", {}, {}, 404, "bucket"),
        ("/api/v2/write?org=monitors&bucket=monitors&precision=m", {}, {}, 400, "precision"),
        ("/api/v2/write?org=monitors&bucket=monitors", {}, {}, 400, "unable to parse"),
        ("/api/v2/nosuch", {}, {}, 404, "path not found"),
    ],
)
def test_what_the_documentation_does_not_allow_is_refused(
    double: Influx2, path: str, headers: dict[str, str], body: dict[str, Any], status: int, told: str
) -> None:
    sent = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json", **headers}
    request = urllib.request.Request(double.url + path, json.dumps(body).encode(), sent)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as answer:
        assert answer.status == status
        assert told in json.loads(answer.read())["message"]


def test_a_field_keeps_its_type(client: Any, double: Influx2) -> None:
    double.write(f"m f=1 {T0}")
    with pytest.raises(ApiException, match="already exists as type float dropped=1"):
        client.write_api(write_options=SYNCHRONOUS).write(bucket="monitors", record=f"m f=1i {T0}")


def test_our_query_is_one_pipe_with_its_names_as_parameters(double: Influx2, reader_of_double: Reader) -> None:
    name = 'x" or true) //'
    double.write(f"crypto_price,monitor_id=btc price=1 {T0}")
    reader_of_double.read(Selection((name,)), T0, T0 + 5)
    (asked,) = double.queries
    wanted = ['(r["monitor_id"] == monitor0', '(r["host"] == monitor0', 'r["_measurement"] == monitor0)']
    assert name not in asked["query"]
    assert asked["query"].splitlines() == [
        "from(bucket: bucket)",
        "|> range(start: start, stop: stop)",
        f"|> filter(fn: (r) => {' or '.join(wanted)}))",
        '|> group(columns: ["_measurement", "_field"])',
        '|> drop(columns: ["_start", "_stop"])',
    ]
    given = {one["assignment"]["id"]["name"]: one["assignment"]["init"] for one in asked["extern"]["body"]}
    assert given["stop"] == {"type": "DateTimeLiteral", "value": "2025-11-24T16:00:00.000000006Z"}
    assert given["monitor0"] == {"type": "StringLiteral", "value": name}
    assert asked["dialect"]["annotations"] == ["datatype", "default"]


def test_the_double_packs_what_it_is_asked_to_pack(double: Influx2) -> None:
    double.write(f"crypto_price,monitor_id=btc price=1 {T0}")
    sent = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/vnd.flux", "Accept-Encoding": "gzip"}
    request = urllib.request.Request(f"{double.url}/api/v2/query?org={ORG}", QUERY.encode(), sent)
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert b",price,crypto_price,btc" in gzip.decompress(answer.read())
