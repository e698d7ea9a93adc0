"""The export: every stored point to the last bit, over gRPC and into a Parquet file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pyarrow.parquet as pq
import pytest

from monitors.cli.failures import ExitCode
from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.messages import from_definition_message
from monitors.evaluator.samples import SampleStream
from monitors.mesh.times import DAY, HOUR, now_nanos, to_timestamp
from monitors.v1 import evaluator_service_pb2 as pb
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub
from monitors.v1.monitor_pb2 import FieldType
from tests.cli.conftest import Command
from tests.evaluator.ingest.parts import WaysIn
from tests.evaluator.ingest.test_service import (
    BOOLEAN,
    FLOAT,
    INTEGER,
    STRING,
    UNSIGNED,
    bearer,
    refused,
    samples,
    series,
    write,
)
from tests.harness import LoopThread

NOW = now_nanos() // DAY * DAY - DAY
SIGNALING_NAN = 0x7FF0_0000_0000_0001
DOUBLES = [1.5, -0.0, np.uint64(SIGNALING_NAN).view(np.float64), np.inf, 5e-324]
Row = tuple[str, int, Any]


@pytest.fixture
def stub(opened: WaysIn) -> Iterator[EvaluatorServiceStub]:
    with grpc.insecure_channel(f"127.0.0.1:{opened.grpc_port}") as channel:
        yield EvaluatorServiceStub(channel)


@pytest.fixture
def monitors(opened: WaysIn) -> Command:
    """The command, with the key of a tenant's reader."""
    return Command({"MONITORS_SERVER": f"127.0.0.1:{opened.grpc_port}", "MONITORS_KEY": "acme-key"})


@pytest.fixture
def written(stub: EvaluatorServiceStub, opened: WaysIn, loop_thread: LoopThread) -> list[Row]:
    """Points of every type over two days, the first ones sealed, one written twice; and what there is in the end."""
    doubles = [(0, NOW + place * HOUR, value) for place, value in enumerate(DOUBLES)]
    write(
        stub,
        samples(*doubles, (0, NOW + 1, 7.0), defining=[tagged("f")]),
        samples((1, NOW, -(2**63)), (1, NOW + DAY, 2**63 - 1), defining=[tagged("i", INTEGER)], kind=np.int64),
        samples((2, NOW, 2**64 - 1), defining=[tagged("u", UNSIGNED)], kind=np.uint64),
        samples((3, NOW, 1), (3, NOW + 1, 0), defining=[tagged("b", BOOLEAN)], kind=np.uint64),
        samples((4, NOW, 1), (4, NOW + 1, 0), defining=[tagged("s", STRING)], kind=np.uint64, texts=["", "ü😀"]),
    )
    assert loop_thread.run(opened.store.seal_closed(now_nanos() + 2 * HOUR, 10**9))
    write(stub, samples((0, NOW + 1, 8.0), (0, NOW + DAY, 2.5), defining=[tagged("f")]))
    exact = [("f", time, bits(value)) for _, time, value in doubles]
    return sorted(
        [
            *exact, ("f", NOW + 1, bits(8.0)), ("f", NOW + DAY, bits(2.5)), ("i", NOW, -(2**63)),
            ("i", NOW + DAY, 2**63 - 1), ("u", NOW, 2**64 - 1), ("b", NOW, True), ("b", NOW + 1, False),
            ("s", NOW, "ü😀"), ("s", NOW + 1, ""),
        ],
        key=lambda row: row[:2],
    )  # fmt: skip


def tagged(field: str, kind: int = FLOAT) -> pb.SeriesDefinition:
    return series(field, kind, cpu="0")


def bits(value: float) -> int:
    return int(np.array([value]).view(np.uint64)[0])


def exported(stub: EvaluatorServiceStub, **request: Any) -> tuple[list[Row], list[int]]:
    """What is exported, read as WriteSamples reads it, and how many points each message has."""
    definitions: list[Any] = []
    stream = SampleStream("acme", Catalogue())
    rows, sizes = [], []
    for message in stub.ExportSeries(pb.ExportSeriesRequest(monitor_id="web", **request), metadata=bearer()):
        for one in message.series:
            definitions.append(from_definition_message(one, "acme", len(definitions)))
        points = stream.take(pb.WriteSamplesRequest.FromString(message.SerializeToString())).points
        for index, time, value in zip((~points.series).tolist(), points.times.tolist(), points.values, strict=True):
            rows.append((definitions[index].key.field, time, plain(definitions[index].type, value, points.texts)))
        if not message.series:
            sizes.append(len(points))
    return rows, sizes


def plain(kind: int, value: np.uint64, texts: tuple[str, ...]) -> Any:
    if kind == FieldType.FIELD_TYPE_STRING:
        return texts[int(value)]
    if kind == FieldType.FIELD_TYPE_BOOLEAN:
        return bool(value)
    return int(value.view(np.int64)) if kind == FieldType.FIELD_TYPE_INTEGER else int(value)


def test_every_point_is_exported_to_the_last_bit_in_order_and_once(
    stub: EvaluatorServiceStub, written: list[Row]
) -> None:
    rows, _ = exported(stub)
    assert sorted(rows, key=lambda row: row[:2]) == written
    for field in "fiubs":
        times = [time for name, time, _ in rows if name == field]
        assert times == sorted(times)


def test_an_export_of_any_length_comes_in_messages_of_bounded_size(
    stub: EvaluatorServiceStub, written: list[Row], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.evaluator.store.store.MAX_READ_POINTS", 4)
    monkeypatch.setattr("monitors.evaluator.export.MESSAGE_POINTS", 2)
    monkeypatch.setattr("monitors.evaluator.export.MESSAGE_TEXT", 3)
    rows, sizes = exported(stub, field="f")
    assert rows == [row for row in written if row[0] == "f"]
    assert max(sizes) <= 2
    rows, _ = exported(stub, field="s")
    assert rows == [row for row in written if row[0] == "s"]


def test_only_what_was_asked_for_is_exported(stub: EvaluatorServiceStub, written: list[Row]) -> None:
    rows, _ = exported(stub, field="m.f", start_time=to_timestamp(NOW + HOUR), end_time=to_timestamp(NOW + 3 * HOUR))
    assert rows == [row for row in written if row[0] == "f" and NOW + HOUR <= row[1] <= NOW + 3 * HOUR]
    assert exported(stub, measurement="m", tags={"no": "such"}) == ([], [])
    assert exported(stub, end_time=to_timestamp(NOW - 1))[0] == []


@pytest.mark.parametrize(
    ("request_", "reason", "words"),
    [
        ({"monitor_id": ""}, "INVALID_FIELD", "monitor_id: empty"),
        ({"monitor_id": "db"}, "UNKNOWN_MONITOR", "there is no monitor 'db'"),
        ({"field": "y"}, "UNKNOWN_FIELD", "no field 'y'; it has: m.b, m.f"),
        ({"measurement": "n"}, "UNKNOWN_FIELD", "no field 'n'"),
        ({"start_time": to_timestamp(NOW), "end_time": to_timestamp(NOW - 1)}, "INVALID_FIELD", "end_time: earlier"),
    ],
)
def test_an_export_that_can_not_be_made_says_why(
    stub: EvaluatorServiceStub, written: list[Row], request_: dict[str, Any], reason: str, words: str
) -> None:
    request = pb.ExportSeriesRequest(**{"monitor_id": "web", **request_})
    code, found, message = refused(lambda: list(stub.ExportSeries(request, metadata=bearer())))
    assert (code, found) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert words in message


def test_another_tenants_monitor_does_not_exist(stub: EvaluatorServiceStub, written: list[Row]) -> None:
    request = pb.ExportSeriesRequest(monitor_id="web")
    assert refused(lambda: list(stub.ExportSeries(request, metadata=bearer("other-key"))))[1] == "UNKNOWN_MONITOR"


def test_a_parquet_file_holds_every_point_with_its_type(monitors: Command, written: list[Row], tmp_path: Path) -> None:
    file = tmp_path / "web.parquet"
    outcome = monitors("history", "export", str(file), "--monitor", "web")
    assert outcome.stdout == f"{len(written)} points of 5 series are in {file}\n"
    table = pq.read_table(file)
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    names = {"f": "float", "i": "integer", "u": "unsigned", "b": "boolean", "s": "string"}
    rows = []
    for place, row in enumerate(table.select(["monitor", "measurement", "field", "tags"]).to_pylist()):
        assert (row["monitor"], row["measurement"], row["tags"]) == ("web", "m", [("cpu", "0")])
        values = {name: table[f"value_{name}"][place].as_py() for name in names.values()}
        value = values.pop(names[row["field"]])
        assert set(values.values()) == {None}
        if row["field"] == "f":
            value = bits(table["value_float"].to_numpy()[place])
        rows.append((row["field"], table["time"][place].value, value))
    assert sorted(rows, key=lambda row: row[:2]) == written
    assert list(tmp_path.iterdir()) == [file]


def test_a_parquet_file_of_one_type_has_one_column_of_values(
    monitors: Command, written: list[Row], tmp_path: Path
) -> None:
    file = tmp_path / "web.parquet"
    options = ("--field", "f", "--from", "2000-01-01T00:00:00Z", "--to", "0s", "--tag", "cpu=0")
    outcome = monitors("history", "export", str(file), "--monitor", "web", *options, "--json")
    doubles = [value for name, _, value in written if name == "f"]
    assert outcome.document == {"file": str(file), "point_count": len(doubles), "series_count": 1}
    values = pq.read_table(file)["value"].to_numpy()
    assert values.view(np.uint64).tolist() == doubles


def test_no_file_is_left_or_lost_when_an_export_fails(monitors: Command, written: list[Row], tmp_path: Path) -> None:
    file = tmp_path / "web.parquet"
    outcome = monitors("history", "export", str(file), "--monitor", "db", ok=False)
    assert outcome.code == ExitCode.INVALID
    assert "there is no monitor 'db'" in outcome.stderr
    assert list(tmp_path.iterdir()) == []
    file.write_text("mine")
    outcome = monitors("history", "export", str(file), "--monitor", "web", ok=False)
    assert (outcome.code, file.read_text()) == (ExitCode.USAGE, "mine")
    outcome = monitors("history", "export", str(tmp_path / "no" / "f"), "--monitor", "web", ok=False)
    assert outcome.code == ExitCode.FAILED
    assert "can't be written: No such file" in outcome.stderr
