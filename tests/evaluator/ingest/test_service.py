"""EvaluatorService over gRPC: columns in, series and charts out, each tenant for itself."""

import asyncio
import math
from collections.abc import Collection
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import ErrorInfo
from grpc_status import rpc_status

from monitors.evaluator.points import Points
from monitors.evaluator.service import CHARTS_OF_TENANT
from monitors.mesh.times import MINUTE, SECOND, now_nanos, to_timestamp
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1 import monitor_pb2
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from tests.evaluator.ingest.parts import TOKEN, WaysIn
from tests.harness import LoopThread
from tests.waiting import wait_for

FLOAT, INTEGER, UNSIGNED, BOOLEAN, STRING = range(1, 6)


def bearer(credential: str = "acme-key") -> tuple[tuple[str, str | bytes], ...]:
    return (("authorization", f"Bearer {credential}"),)


def series(field: str, kind: int = FLOAT, monitor: str = "web", **tags: str) -> pb.SeriesDefinition:
    key = monitor_pb2.SeriesKey(monitor_id=monitor, measurement="m", field=field, tags=tags)
    return pb.SeriesDefinition(key=key, type=monitor_pb2.FieldType.ValueType(kind))


def samples(
    *rows: tuple[int, int, float], defining: list[pb.SeriesDefinition] | None = None, kind: Any = np.float64,
    texts: list[str] | None = None,
) -> pb.WriteSamplesRequest:  # fmt: skip
    return pb.WriteSamplesRequest(
        series=defining or [],
        series_indexes=np.array([row[0] for row in rows], "<u4").tobytes(),
        times=np.array([row[1] for row in rows], "<i8").tobytes(),
        values=np.array([row[2] for row in rows], kind).view("<u8").tobytes(),
        texts=texts or [],
    )


def write(stub: EvaluatorServiceStub, *requests: pb.WriteSamplesRequest, key: str = "acme-key") -> Any:
    return stub.WriteSamples(iter(requests), metadata=bearer(key), timeout=30)


def refused(call: Any) -> tuple[grpc.StatusCode, str, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    error: Any = raised.value
    status = rpc_status.from_call(error)
    info = ErrorInfo()
    assert status is not None
    assert status.details[0].Unpack(info)
    return error.code(), info.reason, error.details()


def test_columns_of_every_type_are_taken_over_several_messages(stub: EvaluatorServiceStub, opened: WaysIn) -> None:
    now = now_nanos()
    answer = write(
        stub,
        samples((0, now, 1.5), (0, now + 1, -0.0), (0, now + 2, math.nan), defining=[series("f")]),
        samples((1, now, -(2**63)), defining=[series("i", INTEGER), series("u", UNSIGNED)], kind=np.int64),
        samples((2, now, 2**64 - 1), kind=np.uint64),
        samples((3, now, 1), defining=[series("b", BOOLEAN)], kind=np.uint64),
        samples((4, now, 1), (4, now + 1, 0), defining=[series("s", STRING)], kind=np.uint64, texts=["new", "old"]),
    )
    assert (answer.accepted_count, answer.rejected_count) == (8, 0)
    listed = {one.key.field: one for one in stub.ListSeries(pb.ListSeriesRequest(), metadata=bearer()).series}
    assert math.isnan(listed["f"].last_value)
    assert [listed[name].last_value for name in "iub"] == [-(2.0**63), 2.0**64, 1.0]
    assert (listed["s"].last_text, listed["s"].last_time, listed["s"].type) == ("new", to_timestamp(now + 1), STRING)


def test_samples_that_do_not_fit_are_counted_with_reasons(stub: EvaluatorServiceStub) -> None:
    now = now_nanos()
    write(stub, samples((0, now, 1.0), defining=[series("x")]))
    answer = write(
        stub,
        samples((0, now, 1.0), (1, now, 1.0), (2, now + 11 * MINUTE, 1.0),
                defining=[series("x", STRING), series("y"), series("z")], kind=np.uint64, texts=["a", "b"]),
    )  # fmt: skip
    assert (answer.accepted_count, answer.rejected_count) == (1, 2)
    reasons = {one.series_index: one.reason for one in answer.rejections}
    assert "is type string, already exists as type float" in reasons[0]
    assert "10 minutes ahead" in reasons[2]


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.WriteSamplesRequest(series_indexes=b"abc"), "series_indexes"),
        (pb.WriteSamplesRequest(series_indexes=bytes(4), times=bytes(9), values=bytes(8)), "times"),
        (pb.WriteSamplesRequest(series_indexes=bytes(4), times=bytes(8), values=bytes(16)), "values"),
        (pb.WriteSamplesRequest(series_indexes=bytes(8), times=bytes(8), values=bytes(8)), "times"),
        (samples((0, 1, 1.0)), "series_indexes"),
        (samples((2**32 - 1, 1, 1.0), defining=[series("x")]), "series_indexes"),
        (samples((0, 1, 2), defining=[series("x", BOOLEAN)], kind=np.uint64), "values"),
        (samples((0, 1, 1), defining=[series("x", STRING)], kind=np.uint64, texts=["a"]), "values"),
        (pb.WriteSamplesRequest(series=[series("x", 0)]), "series[0].type"),
    ],
)
def test_columns_that_do_not_fit_together_name_what_is_wrong(
    stub: EvaluatorServiceStub, opened: WaysIn, request_: pb.WriteSamplesRequest, field: str
) -> None:
    code, reason, message = refused(lambda: write(stub, request_))
    assert (code, reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_FIELD")
    assert message.startswith(f"{field}: ")
    assert opened.evaluated.told == []


def test_series_come_in_pages_in_their_order(stub: EvaluatorServiceStub) -> None:
    names = [(monitor, field, tag) for monitor in ("b", "a") for field in ("y", "x") for tag in ("2", "1")]
    defining = [series(field, monitor=monitor, t=tag) for monitor, field, tag in names]
    write(stub, samples(*[(place, now_nanos(), float(place)) for place in range(8)], defining=defining))
    found, token = [], ""
    for size in (3, 3, 2):
        answer = stub.ListSeries(pb.ListSeriesRequest(page_size=size, page_token=token), metadata=bearer())
        found += [(one.key.monitor_id, one.key.field, one.key.tags["t"]) for one in answer.series]
        token = answer.next_page_token
    assert (found, token) == (sorted(names), "")
    only = stub.ListSeries(pb.ListSeriesRequest(monitor_ids=["b"], page_size=4), metadata=bearer())
    assert ({one.key.monitor_id for one in only.series}, only.next_page_token) == ({"b"}, "")


def test_a_page_token_belongs_to_its_query(stub: EvaluatorServiceStub) -> None:
    write(stub, samples((0, now_nanos(), 1.0), (1, now_nanos(), 1.0), defining=[series("x"), series("y")]))
    token = stub.ListSeries(pb.ListSeriesRequest(page_size=1), metadata=bearer()).next_page_token
    for wrong in (pb.ListSeriesRequest(page_token=token, monitor_ids=["web"]), pb.ListSeriesRequest(page_token="é"),
                  pb.ListSeriesRequest(page_token="W10="), pb.ListSeriesRequest(page_token="MQ==")):  # fmt: skip
        assert refused(lambda wrong=wrong: stub.ListSeries(wrong, metadata=bearer()))[1] == "INVALID_PAGE_TOKEN"
    for size in (-1, 10_001):
        code, _, message = refused(
            lambda size=size: stub.ListSeries(pb.ListSeriesRequest(page_size=size), metadata=bearer())
        )
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "page_size" in message


def test_a_page_of_long_texts_stays_within_what_grpc_takes(stub: EvaluatorServiceStub) -> None:
    count = 60
    for place in range(count):
        write(stub, samples((0, now_nanos(), 0), defining=[series("s", STRING, t=str(place))], kind=np.uint64,
                            texts=["x" * 100_000]))  # fmt: skip
    found, token = 0, ""
    while token or not found:
        answer = stub.ListSeries(pb.ListSeriesRequest(page_token=token), metadata=bearer())
        found, token = found + len(answer.series), answer.next_page_token
    assert found == count


def test_a_tenant_sees_nothing_of_another(stub: EvaluatorServiceStub) -> None:
    write(stub, samples((0, now_nanos(), 1.0), defining=[series("x")]))
    assert list(stub.ListSeries(pb.ListSeriesRequest(), metadata=bearer("other-key")).series) == []
    query = pb.QuerySeriesRequest(monitor_id="web", field="x", start_time=to_timestamp(0))
    other = refused(lambda: stub.QuerySeries(query, metadata=bearer("other-key")))
    query.monitor_id = "never"
    never = refused(lambda: stub.QuerySeries(query, metadata=bearer("other-key")))
    assert (other[0], other[1], other[2].replace("web", "never")) == never
    named = pb.ListSeriesRequest(tenant_id="acme")
    code, _, message = refused(lambda: stub.ListSeries(named, metadata=bearer("other-key")))
    assert (code, "tenant_id" in message) == (grpc.StatusCode.UNAUTHENTICATED, True)


def test_a_service_names_the_tenant(stub: EvaluatorServiceStub) -> None:
    write(stub, samples((0, now_nanos(), 1.0), defining=[series("x")]))
    found = stub.ListSeries(pb.ListSeriesRequest(tenant_id="acme"), metadata=bearer(TOKEN)).series
    assert [one.key.field for one in found] == ["x"]
    assert refused(lambda: stub.ListSeries(pb.ListSeriesRequest(), metadata=bearer(TOKEN)))[1] == "UNAUTHENTICATED"


def test_a_service_writes_for_each_tenant_that_it_names_and_nobody_else_may(
    stub: EvaluatorServiceStub, opened: WaysIn
) -> None:
    now = now_nanos()
    messages = []
    for tenant, value in (("acme", 1.0), ("other", 2.0)):
        message = samples((0, now, value), (0, now + 11 * MINUTE, value), defining=[series("x")])
        message.tenant_id = tenant
        messages.append(message)
    # Each tenant's series are counted apart.
    later = samples((0, now + 1, 3.0))
    later.tenant_id = "acme"
    answer = write(stub, *messages, later, key=TOKEN)
    assert (answer.accepted_count, answer.rejected_count) == (3, 2)
    assert [(one.series_index, one.tenant_id) for one in answer.rejections] == [(0, "acme"), (0, "other")]
    for tenant, value in (("acme", 3.0), ("other", 2.0)):
        (one,) = stub.ListSeries(pb.ListSeriesRequest(), metadata=bearer(f"{tenant}-key")).series
        assert one.last_value == value
    assert refused(lambda: write(stub, *messages))[:2] == (grpc.StatusCode.UNAUTHENTICATED, "UNAUTHENTICATED")
    unnamed = samples((0, now, 1.0), defining=[series("x")])
    assert refused(lambda: write(stub, unnamed, key=TOKEN))[1] == "UNAUTHENTICATED"


def test_a_stream_may_define_and_use_series_bit_by_bit_and_name_one_twice(
    stub: EvaluatorServiceStub, opened: WaysIn
) -> None:
    now = now_nanos()
    answer = write(
        stub,
        samples((1, now, 1.0), defining=[series("x"), series("y")]),
        samples((1, now + 1, 2.0), (0, now + 1, 3.0)),
        samples((2, now + 2, 4.0), (0, now + 3, 5.0), defining=[series("y")]),
    )
    assert (answer.accepted_count, len(opened.catalogue)) == (5, 2)
    listed = {
        one.key.field: one.last_value for one in stub.ListSeries(pb.ListSeriesRequest(), metadata=bearer()).series
    }
    assert listed == {"x": 5.0, "y": 4.0}
    # The series were told once, and every point came under the index of its own.
    told = [batch.series.tolist() for batch in opened.evaluated.batches]
    assert told == [[0], [0, 1], [0, 1]]


def test_points_come_back_oldest_first_one_a_time_and_within_the_range(stub: EvaluatorServiceStub) -> None:
    start = now_nanos() - MINUTE
    rows = [(0, start + 2, 2.0), (0, start + 1, 1.0), (1, start, 9.0), (0, start + 1, 1.5), (0, start + 9, 9.0)]
    write(stub, samples(*rows, defining=[series("x", cpu="0"), series("x", cpu="1")]))
    query = pb.QuerySeriesRequest(
        monitor_id="web", field="x", start_time=to_timestamp(start), end_time=to_timestamp(start + 8)
    )
    both = stub.QuerySeries(query, metadata=bearer()).series
    assert [(one.key.tags["cpu"], list(one.times), list(one.values)) for one in both] == [
        ("0", [start + 1, start + 2], [1.5, 2.0]), ("1", [start], [9.0]),
    ]  # fmt: skip
    query.tags["cpu"] = "1"
    query.field = "m.x"
    (one,) = stub.QuerySeries(query, metadata=bearer()).series
    assert list(one.values) == [9.0]


def test_a_tenant_that_asks_for_many_charts_at_once_waits_and_keeps_nobody_else_waiting(
    stub: EvaluatorServiceStub, opened: WaysIn, loop_thread: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    for key in ("acme-key", "other-key"):
        write(stub, samples((0, now_nanos(), 1.0), defining=[series("x")]), key=key)
    entered: list[str] = []
    gate, read = asyncio.Event(), opened.store.read_series

    async def held(indexes: Collection[int], start: int, end: int) -> Points:
        entered.append(opened.catalogue[next(iter(indexes))].key.tenant)
        await gate.wait()
        return await read(indexes, start, end)

    monkeypatch.setattr(opened.store, "read_series", held)
    query = pb.QuerySeriesRequest(monitor_id="web", field="x", start_time=to_timestamp(0))
    many = [stub.QuerySeries.future(query, metadata=bearer()) for _ in range(6)]
    wait_for(lambda: len(entered) == CHARTS_OF_TENANT, "the first charts")
    other = stub.QuerySeries.future(query, metadata=bearer("other-key"))
    wait_for(lambda: "other" in entered, "the other tenant's chart")
    assert entered.count("acme") == CHARTS_OF_TENANT

    async def let_in() -> None:
        gate.set()

    loop_thread.run(let_in())
    assert all(len(call.result(timeout=30).series) == 1 for call in [*many, other])


def test_texts_are_queried_as_texts(stub: EvaluatorServiceStub) -> None:
    now = now_nanos()
    write(stub, samples((0, now, 1), (0, now + 1, 0), defining=[series("s", STRING)], kind=np.uint64, texts=["b", "a"]))
    query = pb.QuerySeriesRequest(
        monitor_id="web", field="s", start_time=to_timestamp(now), end_time=to_timestamp(now + 1)
    )
    (one,) = stub.QuerySeries(query, metadata=bearer()).series
    assert (list(one.texts), list(one.values)) == (["a", "b"], [])


def test_many_points_are_thinned_to_their_extremes(stub: EvaluatorServiceStub) -> None:
    start = now_nanos() - 50_000 * SECOND
    rows = [
        (0, start + place * SECOND, 1e6 if place == 77 else -1e6 if place == 40_000 else 1.0) for place in range(50_000)
    ]
    write(stub, samples(*rows, defining=[series("x")]))
    query = pb.QuerySeriesRequest(monitor_id="web", field="x", start_time=to_timestamp(start))
    (one,) = stub.QuerySeries(query, metadata=bearer()).series
    assert 5_000 < len(one.times) <= 11_000
    assert (max(one.values), min(one.values)) == (1e6, -1e6)


@pytest.mark.parametrize(
    ("query", "reason", "words"),
    [
        ({"monitor_id": ""}, "INVALID_FIELD", "monitor_id: empty"),
        ({"field": ""}, "INVALID_FIELD", "field: empty"),
        ({"monitor_id": "wep"}, "UNKNOWN_MONITOR", "there are: web"),
        ({"field": "z"}, "UNKNOWN_FIELD", "it has: m.x, n.x"),
        ({"measurement": ""}, "UNKNOWN_FIELD", "name one of: m, n"),
        ({"start_time": None}, "INVALID_FIELD", "start_time: missing"),
        ({"end_time": to_timestamp(1)}, "INVALID_FIELD", "end_time: earlier"),
    ],
)
def test_a_query_that_can_not_be_answered_says_why(
    stub: EvaluatorServiceStub, query: dict[str, Any], reason: str, words: str
) -> None:
    other = series("x")
    other.key.measurement = "n"
    write(stub, samples((0, now_nanos(), 1.0), (1, now_nanos(), 1.0), defining=[series("x"), other]))
    fields = {"monitor_id": "web", "measurement": "m", "field": "x", "start_time": to_timestamp(SECOND * 9), **query}
    code, found, message = refused(lambda: stub.QuerySeries(pb.QuerySeriesRequest(**fields), metadata=bearer()))
    assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert words in message


def test_a_time_beyond_all_data_is_no_fault(stub: EvaluatorServiceStub) -> None:
    write(stub, samples((0, now_nanos(), 1.0), defining=[series("x")]))
    query = pb.QuerySeriesRequest(monitor_id="web", field="x")
    query.start_time.seconds, query.end_time.seconds = -(2**60), 2**60
    (one,) = stub.QuerySeries(query, metadata=bearer()).series
    assert list(one.values) == [1.0]


def test_the_status_counts_what_was_taken_and_tells_how_far_the_engine_is(stub: EvaluatorServiceStub) -> None:
    now = now_nanos()
    write(stub, samples((0, now, 1.0), (0, now + 11 * MINUTE, 1.0), defining=[series("x")]))
    status = stub.GetEvaluatorStatus(pb.GetEvaluatorStatusRequest(), metadata=bearer())
    assert (status.accepted_point_count, status.rejected_point_count, status.series_count) == (1, 1, 1)
    assert status.history_start_time == to_timestamp(now)
    assert status.history_bytes >= 20
    assert (status.rule_count, status.shard_count, list(status.problems)) == (1, 256, ["rule r: it is skipped"])


def test_the_status_tells_what_is_wrong_with_the_ways_in_and_the_history(
    opened: WaysIn, stub: EvaluatorServiceStub
) -> None:
    opened.intake.problem, opened.housekeeping.problem = "the disk is full", "the history is short"
    status = stub.GetEvaluatorStatus(pb.GetEvaluatorStatusRequest(), metadata=bearer())
    assert list(status.problems) == ["rule r: it is skipped", "the disk is full", "the history is short"]


def test_the_engine_explains_the_tenants_own_rule(opened: WaysIn, stub: EvaluatorServiceStub) -> None:
    (found,) = stub.Explain(pb.ExplainRequest(rule_id="rule_1", monitor_id="web"), metadata=bearer()).instances
    assert opened.evaluated.told[-1] == ("explain", (("acme", "rule_1"), ["web"]))
    assert (found.monitor_id, dict(found.group), found.value) == ("web", {"core": "0"}, 7.5)
    assert (found.state, found.text) == (pb.INSTANCE_STATE_PENDING, "it fires soon")
    assert (found.evaluation_time, found.since_time) == (to_timestamp(5 * SECOND), to_timestamp(3 * SECOND))
    request = pb.ExplainRequest(rule_id="rule_1", tenant_id="other")
    assert refused(lambda: stub.Explain(request, metadata=bearer()))[0] is grpc.StatusCode.UNAUTHENTICATED
    assert refused(lambda: stub.Explain(pb.ExplainRequest(), metadata=bearer()))[2].startswith("rule_id")
