"""The HTTP endpoint: InfluxDB's unchanged client writes to it, and errors look as InfluxDB's do."""

import base64
import gzip
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest
from influxdb_client import InfluxDBClient, Point, WriteOptions
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from monitors.evaluator.influx import MAX_BODY, VERSION
from monitors.evaluator.ingest import WRITES_ONLY, Ingest, listening
from monitors.evaluator.reader import LineReader
from monitors.mesh.guesses import MOST_AT_ONCE, Guesses
from monitors.mesh.limits import LocalBuckets
from monitors.mesh.quotas import Tiers, changed_quotas
from monitors.mesh.request_quota import RequestQuota
from monitors.mesh.server import PortTaken
from monitors.mesh.times import MINUTE, SECOND, now_nanos
from tests.evaluator.ingest.parts import RuleBook, WaysIn, authenticate
from tests.harness import LoopThread

TOKEN_HEADER = {"Authorization": "Token acme-key"}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    opened: WaysIn, path: str, body: bytes | str | None = None, headers: Mapping[str, str] = TOKEN_HEADER,
    method: str = "POST",
) -> Answer:  # fmt: skip
    connection = http.client.HTTPConnection("127.0.0.1", opened.http_port, timeout=30)
    try:
        connection.request(method, path, body.encode() if isinstance(body, str) else body, dict(headers))
        response = connection.getresponse()
        return Answer(response.status, dict(response.getheaders()), response.read())
    finally:
        connection.close()


def values(opened: WaysIn) -> list[float]:
    return [value for batch in opened.evaluated.batches for value in batch.values.tolist()]


@pytest.fixture
def client(opened: WaysIn) -> Iterator[InfluxDBClient]:
    with InfluxDBClient(opened.url, token="acme-key", org="home", enable_gzip=False) as one:
        yield one


def test_the_official_client_writes_points_lines_and_dicts(client: InfluxDBClient, opened: WaysIn) -> None:
    now = now_nanos()
    with client.write_api(write_options=SYNCHRONOUS) as api:
        api.write("b", record=Point("m").tag("host", "web").field("x", 1.5).field("n", 2).field("on", True).time(now))
        api.write("b", record=f"m,host=web x=2.5 {now + 1}")
        api.write("b", record=[{"measurement": "m", "tags": {"host": "web"}, "fields": {"x": 3.5}, "time": now + 2}])
        api.write("b", record=f"m,host=web x=4.5 {now // SECOND}", write_precision="s")
        api.write("b", record="m,host=web x=5.5")
    assert values(opened) == [2.0, 1.0, 1.5, 2.5, 3.5, 4.5, 5.5]
    times = [time for batch in opened.evaluated.batches for time in batch.times.tolist()]
    assert times[:-1] == [now, now, now, now + 1, now + 2, now // SECOND * SECOND]
    assert abs(times[-1] - now) < MINUTE


def test_the_official_client_writes_in_gzipped_batches(opened: WaysIn) -> None:
    with (
        InfluxDBClient(opened.url, token="acme-key", org="home", enable_gzip=True) as client,
        client.write_api(write_options=WriteOptions(batch_size=50, flush_interval=10_000)) as api,
    ):
        for place in range(120):
            api.write("b", record=f"m x={place} {now_nanos()}")
    assert values(opened) == [float(place) for place in range(120)]


def test_the_official_client_is_content_with_ping_health_and_version(client: InfluxDBClient, opened: WaysIn) -> None:
    assert client.ping()
    assert client.version() == VERSION
    with pytest.warns(DeprecationWarning, match="ping"):
        assert client.health().status == "pass"
    opened.evaluated.trouble = "points are stored, but not evaluated yet"
    answer = call(opened, "/health", method="GET", headers={})
    assert (answer.status, answer.json["status"], answer.json["checks"][0]["name"]) == (503, "fail", "evaluation")
    assert answer.json["message"] == opened.evaluated.trouble


def test_the_official_client_understands_the_errors(client: InfluxDBClient, opened: WaysIn) -> None:
    with client.write_api(write_options=SYNCHRONOUS) as api, pytest.raises(ApiException) as raised:
        api.write("b", record="m x=tru")
    assert raised.value.status == 400
    assert "invalid boolean" in str(raised.value)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_ping_answers_without_a_credential(opened: WaysIn, method: str) -> None:
    answer = call(opened, "/ping", method=method, headers={})
    assert (answer.status, answer.headers["X-Influxdb-Version"]) == (204, VERSION)
    assert VERSION.startswith("v2.7")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/v2/write?org=o&bucket=b", {"Authorization": "Token acme-key"}),
        ("/api/v2/write?org=o&bucket=b", {"Authorization": "Bearer acme-key"}),
        ("/api/v2/write?org=o&bucket=b", {"Authorization": "Token any:acme-key"}),
        ("/write?db=d", {"Authorization": "Basic " + base64.b64encode(b"any:acme-key").decode()}),
        ("/write?db=d&u=any&p=acme-key", {}),
    ],
)
def test_the_key_is_taken_from_wherever_clients_put_it(opened: WaysIn, path: str, headers: dict[str, str]) -> None:
    assert call(opened, path, "m x=1", headers).status == 204


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "unauthorized"),
        ({"Authorization": "Token wrong"}, 401, "unauthorized"),
        ({"Authorization": "Basic !"}, 401, "unauthorized"),
        ({"Authorization": "Token reader-key"}, 403, "forbidden"),
    ],
)
def test_without_a_key_that_may_write_nothing_is_taken(
    opened: WaysIn, headers: dict[str, str], status: int, code: str
) -> None:
    answer = call(opened, "/api/v2/write", "m x=1", headers)
    assert (answer.status, answer.json["code"]) == (status, code)
    assert call(opened, "/write", "m x=1", headers).status == status
    # A page in a browser has no key, wherever it comes from.
    assert call(opened, "/write", "m x=1", {**headers, "Origin": "http://evil.example"}).status == status
    assert opened.evaluated.told == []


def test_tenants_write_into_series_of_their_own(opened: WaysIn) -> None:
    for key in ("acme-key", "other-key"):
        assert call(opened, "/write", "m x=1", {"Authorization": f"Token {key}"}).status == 204
    assert [series.key.tenant for series in opened.catalogue.all()] == ["acme", "other"]


def test_good_lines_are_taken_and_bad_ones_named(opened: WaysIn) -> None:
    body = "m x=1\nm x=tru\nm x=3\nm"
    answer = call(opened, "/api/v2/write", body)
    assert (answer.status, answer.json["code"]) == (400, "invalid")
    assert answer.json["message"] == (
        "partial write: unable to parse 'm x=tru': invalid boolean (line 2)\n"
        "unable to parse 'm': missing fields (line 4) dropped=2"
    )
    assert values(opened) == [1.0, 3.0]
    answer = call(opened, "/write", body)
    assert (answer.status, answer.json) == (400, {"error": call(opened, "/api/v2/write", body).json["message"]})
    assert answer.headers["X-Influxdb-Error"].startswith("partial write: unable to parse")


def test_when_no_line_is_good_it_is_no_partial_write(opened: WaysIn) -> None:
    answer = call(opened, "/api/v2/write", "m x=tru\n" * 30)
    assert answer.json["message"].startswith("unable to parse 'm x=tru': invalid boolean (line 1)\n")
    assert answer.json["message"].endswith("and 20 more lines")


def test_a_type_conflict_is_told_in_influxdb_s_words(opened: WaysIn) -> None:
    words = 'partial write: field type conflict: input field "x" on measurement "m" is type string, '
    words += "already exists as type float dropped=1"
    assert call(opened, "/write", "m x=1").status == 204
    answer = call(opened, "/write", 'm x="a"\nm x=2')
    assert (answer.status, answer.json) == (400, {"error": words})
    answer = call(opened, "/api/v2/write", 'm x="a"')
    assert (answer.status, answer.json["code"]) == (422, "unprocessable entity")
    assert answer.json["message"] == f"failure writing points to database: {words}"
    assert values(opened) == [1.0, 2.0]


def test_a_point_from_the_far_future_is_told(opened: WaysIn) -> None:
    answer = call(opened, "/api/v2/write", f"m x=1 {now_nanos() + 11 * MINUTE}")
    assert answer.status == 422
    assert "10 minutes ahead" in answer.json["message"]


@pytest.mark.parametrize("precision", ["ns", "n", "us", "u", "ms", "s", "m", "h"])
def test_every_precision_is_taken(opened: WaysIn, precision: str) -> None:
    units = {"ns": 1, "n": 1, "us": 10**3, "u": 10**3, "ms": 10**6, "s": SECOND, "m": MINUTE, "h": 60 * MINUTE}
    time = now_nanos() // units[precision]
    assert call(opened, f"/write?precision={precision}", f"m x=1 {time}").status == 204
    assert opened.evaluated.batches[0].times.tolist() == [time * units[precision]]


def test_an_unknown_precision_is_refused_with_those_that_are(opened: WaysIn) -> None:
    answer = call(opened, "/api/v2/write?precision=weeks", "m x=1")
    assert answer.status == 400
    assert "'weeks'" in answer.json["message"]
    assert "ms" in answer.json["message"]


def test_a_body_may_be_gzipped_in_several_members(opened: WaysIn) -> None:
    headers = {**TOKEN_HEADER, "Content-Encoding": "gzip"}
    assert call(opened, "/write", gzip.compress(b"m x=1\nm ") + gzip.compress(b"x=2"), headers).status == 204
    assert values(opened) == [1.0, 2.0]


@pytest.mark.parametrize(
    ("body", "encoding", "status", "code"),
    [
        (b"m x=1", "gzip", 400, "invalid"),
        (gzip.compress(b"m x=1" * 100)[:-10], "gzip", 400, "invalid"),
        (gzip.compress(b"m x=1\n") * 17, "gzip", 400, "invalid"),
        (gzip.compress(b"\n" * (MAX_BODY + 1)), "gzip", 413, "request too large"),
        (b"\n" * (MAX_BODY + 1), "", 413, "request too large"),
        (b"m x=1", "br", 415, "unsupported media type"),
    ],
    ids=["not gzip", "cut", "many members", "a bomb", "too large", "another packing"],
)
def test_a_body_that_can_not_be_unpacked_is_refused(
    opened: WaysIn, body: bytes, encoding: str, status: int, code: str
) -> None:
    answer = call(opened, "/api/v2/write", body, {**TOKEN_HEADER, "Content-Encoding": encoding})
    assert (answer.status, answer.json["code"]) == (status, code)
    assert opened.evaluated.told == []
    assert call(opened, "/api/v2/write", "m x=1").status == 204


def test_a_body_without_points_is_fine(opened: WaysIn) -> None:
    assert call(opened, "/api/v2/write", "\n# nothing\n").status == 204
    assert call(opened, "/api/v2/write").status == 204


def test_a_body_without_a_length_is_taken(opened: WaysIn) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", opened.http_port, timeout=30)
    connection.request("POST", "/write", iter([b"m x", b"=1\nm x=2"]), TOKEN_HEADER, encode_chunked=True)
    assert connection.getresponse().status == 204
    connection.close()
    assert values(opened) == [1.0, 2.0]


def test_telegraf_may_create_its_database_and_nobody_may_query(opened: WaysIn) -> None:
    statement = "q=CREATE%20DATABASE%20%22telegraf%22"
    form = {**TOKEN_HEADER, "Content-Type": "application/x-www-form-urlencoded"}
    created = {"results": [{"statement_id": 0}]}
    assert call(opened, f"/query?{statement}").json == created
    assert call(opened, "/query", statement, form).json == created
    assert call(opened, f"/query?{statement}", headers={}).status == 401
    assert call(opened, "/query?q=SELECT+1", method="GET").json == {"error": WRITES_ONLY}
    answer = call(opened, "/api/v2/query", '{"query": "buckets()"}')
    assert (answer.status, answer.json["code"]) == (501, "not implemented")


def test_unknown_paths_and_methods_are_told_as_json(opened: WaysIn) -> None:
    answer = call(opened, "/api/v2/buckets", method="GET")
    assert (answer.status, answer.json["code"]) == (404, "not found")
    assert "/api/v2/write" in answer.json["message"]
    answer = call(opened, "/api/v2/write", method="DELETE")
    assert (answer.status, answer.json["code"]) == (405, "method not allowed")


def test_when_rule_service_has_no_room_the_client_is_told_to_wait(opened: WaysIn, book: RuleBook) -> None:
    book.full = True
    answer = call(opened, "/api/v2/write", "m x=1")
    assert (answer.status, answer.json["code"]) == (429, "too many requests")


def test_while_the_evaluator_closes_clients_are_told_to_come_again(opened: WaysIn) -> None:
    assert call(opened, "/api/v2/write", "m x=1").status == 204
    opened.intake.close()
    answer = call(opened, "/api/v2/write", "m x=1")
    assert (answer.status, answer.json["code"], answer.headers["Retry-After"]) == (503, "unavailable", "2")


def test_a_fault_of_ours_leaks_nothing(opened: WaysIn) -> None:
    assert call(opened, "/api/v2/write", "m x=1").status == 204
    opened.store.append = lambda *_: 1 / 0  # type: ignore[method-assign, assignment]
    answer = call(opened, "/api/v2/write", "m x=1")
    assert (answer.status, answer.json["code"]) == (500, "internal error")
    assert "division" not in answer.json["message"]


def test_a_taken_port_names_itself_and_the_fix(loop_thread: LoopThread, opened: WaysIn) -> None:
    async def start_second() -> None:
        async with listening(
            Ingest(opened.intake, LineReader(opened.catalogue), authenticate, str),
            "127.0.0.1",
            opened.http_port,
        ):
            pytest.fail("two servers share a port")

    with pytest.raises(PortTaken, match=rf"{opened.http_port}.*MONITORS_HTTP_PORT"):
        loop_thread.run(start_second())


def test_a_tenant_that_writes_too_often_is_told_when_to_try_again(loop_thread: LoopThread, opened: WaysIn) -> None:
    quota = RequestQuota(LocalBuckets(), Tiers(changed_quotas(["free.requests=1"]), default="free"))
    ingest = Ingest(opened.intake, LineReader(opened.catalogue), authenticate, str, quota)
    with loop_thread.opened(listening(ingest, "127.0.0.1", 0)) as port:
        limited = replace(opened, http_port=port)
        answers = [call(limited, "/api/v2/write", "m x=1") for _ in range(40)]
        assert {answer.status for answer in answers} == {204, 429}
        refused = next(answer for answer in answers if answer.status == 429)
        assert refused.json["code"] == "too many requests"
        assert "the tier 'free' allows" in refused.json["message"]
        assert int(refused.headers["Retry-After"]) >= 1


def test_an_address_that_guesses_keys_is_told_to_wait_and_a_good_key_from_there_still_writes(
    loop_thread: LoopThread, opened: WaysIn
) -> None:
    guesses = Guesses(LocalBuckets())
    ingest = Ingest(opened.intake, LineReader(opened.catalogue), authenticate, str, guesses=guesses)
    with loop_thread.opened(listening(ingest, "127.0.0.1", 0)) as port:
        limited = replace(opened, http_port=port)
        answers = [
            call(limited, "/api/v2/write", "m x=1", {"Authorization": "Token wrong"}) for _ in range(MOST_AT_ONCE + 20)
        ]
        assert {answer.status for answer in answers} == {401, 429}
        assert int(answers[-1].headers["Retry-After"]) >= 1
        assert call(limited, "/api/v2/write", "m x=1").status == 204
