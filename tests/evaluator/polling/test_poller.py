"""Polls, one by one: what is handed on to be evaluated, whatever the source, RuleService or the user system do."""

import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import pytest

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.history import ReadWindow
from monitors.evaluator.model.horizon import Horizon
from monitors.evaluator.model.series import Arrival, Batch, Series
from monitors.evaluator.model.wording import at as said_at
from monitors.evaluator.monitor_tags import MonitorTags
from monitors.evaluator.newest import Newest
from monitors.evaluator.polling.acquaintance import Acquaintance
from monitors.evaluator.polling.connecting import Connecting
from monitors.evaluator.polling.history import READS_AT_ONCE, PolledHistory
from monitors.evaluator.polling.interest import Interest
from monitors.evaluator.polling.poller import Poller, slack_of
from monitors.evaluator.polling.running_ahead import RunningAhead
from monitors.evaluator.polling.writing import Target, WriteThrough
from monitors.evaluator.reader import LineReader
from monitors.evaluator.registering import Registrar
from monitors.evaluator.registry import Registry
from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.evaluator.watch import RuleChanges
from monitors.mesh.channels import open_channel
from monitors.mesh.config import PollSettings
from monitors.mesh.errors import NotTaken, ServiceUnavailable
from monitors.mesh.masking import Secret
from monitors.mesh.times import DAY, HOUR, MINUTE, SECOND
from tests.evaluator.engine.scene import absence
from tests.evaluator.ingest.parts import TOKEN as MESH_TOKEN
from tests.evaluator.ingest.parts import Evaluated, RuleBook, rule_book
from tests.evaluator.polling.test_interest import rule
from tests.harness import LoopThread
from tests.servers.influxdb2 import ORG, TOKEN, Influx2, influx2
from tests.waiting import wait_for


@dataclass
class Owners:
    """All monitors are `t`'s, but for some."""

    others: dict[str, str | None] = field(default_factory=dict)
    away: bool = False

    async def owners(self, monitor_ids: Iterable[str]) -> Mapping[str, str]:
        if self.away:
            raise ServiceUnavailable("user system")
        found = {monitor: self.others.get(monitor, "t") for monitor in monitor_ids}
        return {monitor: tenant for monitor, tenant in found.items() if tenant}


class Met(Evaluated):
    """Also keeps what series it met, and which points were read as theirs from before."""

    before_reading: Callable[[], None] = staticmethod(lambda: None)
    alone_since: int | None = 0

    async def meet_series(self, series: Sequence[Series], until: int, read: ReadWindow) -> None:
        rows = [one.index for one in series]
        self.before_reading()
        past = [value async for batch in read(until - DAY, until, rows) for value in batch.values.tolist()]
        self.told.append(("met", ([one.key.monitor for one in series], past)))


@dataclass
class Bench:
    """A poller that polls when it's told to."""

    server: Influx2
    book: RuleBook
    poller: Poller
    sink: WriteThrough
    reader: LineReader
    history: PolledHistory
    interest: Interest
    catalogue: Catalogue
    owners: Owners
    evaluated: Met
    loop: LoopThread

    def poll(self) -> list[tuple[str, float, Arrival]]:
        """Polls once; gives monitor, value and arrival of the points that were handed on."""
        before = len(self.batches)
        self.loop.run(self.poller.poll())
        return self.handed_on(before)

    def handed_on(self, since: int) -> list[tuple[str, float, Arrival]]:
        return [
            (self.catalogue[int(series)].key.monitor, float(value), batch.arrival)
            for batch in self.batches[since:]
            for series, value in zip(batch.series, batch.values, strict=True)
        ]

    def push(self, lines: str) -> list[tuple[str, float, Arrival]]:
        """Pushes lines of the tenant's; gives what was handed on, as `poll` does."""
        before = len(self.batches)
        parsed = self.reader.read(lines.encode(), "t", 1, time.time_ns())
        self.loop.run(self.sink.write(parsed.submission))
        return self.handed_on(before)

    def look(self, *, full: bool = False) -> None:
        self.loop.run(self.poller.look_around(full=full))

    def write(self, monitor: str, value: float, ago: float = 0.0) -> None:
        at = time.time_ns() - round(ago * SECOND)
        self.server.write(f"host,monitor_id={monitor} cpu={value} {at}")

    @property
    def batches(self) -> list[Batch]:
        return [what for kind, what in self.evaluated.told if kind == "batch"]


@asynccontextmanager
async def opened(server: Influx2, folder: Path, allowance: int) -> AsyncIterator[Callable[[LoopThread], Bench]]:
    settings = InfluxSettings(server.url, token=Secret(TOKEN), org=ORG)
    source, catalogue, owners, evaluated = Connecting(lambda: open_source(settings)), Catalogue(), Owners(), Met()
    socket = f"unix:{folder / 'rules.sock'}"
    async with rule_book(socket) as book, open_channel(socket, MESH_TOKEN) as channel:
        newest, interest = Newest(), Interest(catalogue)
        acquaintance = Acquaintance(source, catalogue, owners, Registrar(catalogue, Registry(channel)), newest)
        horizon = Horizon(time.time_ns() - allowance, allowance)
        history = PolledHistory(source, acquaintance, catalogue, interest, newest, horizon, DAY)
        poll = PollSettings(interval=0.2, allowance=allowance)
        registrar = Registrar(catalogue, Registry(channel))
        target = Target(source, catalogue, owners, registrar, lambda: evaluated.trouble)
        tags = MonitorTags()
        ahead = RunningAhead(history, evaluated, slack_of(poll.interval))
        sink = WriteThrough(target, history, newest, tags, evaluated, ahead, DAY)
        poller = Poller(source, history, acquaintance, catalogue, evaluated, poll, sink, DAY)
        reader = LineReader(catalogue, tags.learn)
        yield partial(Bench, server, book, poller, sink, reader, history, interest, catalogue, owners, evaluated)
        await source.close()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Short enough for a unix socket's path."""
    return tmp_path_factory.mktemp("e")


@pytest.fixture
def server() -> Iterator[Influx2]:
    with influx2() as double:
        yield double


@pytest.fixture
def bench(server: Influx2, loop_thread: LoopThread, folder: Path) -> Iterator[Bench]:
    with loop_thread.opened(opened(server, folder, 0)) as made:
        yield made(loop_thread)


POLLED, AFTER_OUTAGE, SKIPPED = Arrival.POLLED, Arrival.AFTER_OUTAGE, Arrival.SKIPPED


def test_each_point_is_read_once_and_time_goes_on_without_any(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.write("m", 1)
    assert bench.poll() == [("m", 1, POLLED)]
    assert bench.poll() == []
    first, second = bench.batches
    assert first.number == first.accepted_at < second.number


def test_one_poll_asks_for_the_monitors_of_all_rules_and_for_nobody_elses(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m"), rule("n", "rule_2")]))
    bench.look()
    for monitor in ("m", "n", "o"):
        bench.write(monitor, 1)
    asked = len(bench.server.queries)
    assert {monitor for monitor, *_ in bench.poll()} == {"m", "n"}
    assert len(bench.server.queries) == asked + 1


def test_a_new_series_is_registered_and_known_before_its_first_point_is_evaluated(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.write("m", 1)
    bench.poll()
    assert [kind for kind, _ in bench.evaluated.told] == ["series", "batch"]
    assert bench.book.reported == [("t", "m", "cpu")]


def test_while_rule_service_takes_no_new_series_time_stands_still_and_then_nothing_is_lost(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.write("m", 1)
    bench.book.away = True
    assert bench.poll() == []
    assert bench.batches == []
    assert "can't be registered" in bench.poller.problems[0]
    bench.book.away = False
    assert bench.poll() == [("m", 1, POLLED)]
    assert bench.poller.problems == []


def test_a_tenant_that_may_have_no_more_keeps_nobody_up(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.book.full = True
    bench.write("m", 1)
    assert bench.poll() == []
    assert len(bench.batches) == 1
    assert any("which is the limit" in problem for problem in bench.poller.series_problems)


def test_charts_that_take_long_leave_polls_a_way_to_the_source(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.owners.others = {"of_u": "u", "of_v": "v"}
    bench.write("m", 1)
    bench.write("of_u", 1)
    bench.write("of_v", 1)
    bench.look(full=True)
    bench.poll()
    faults, asked = bench.server.faults, len(bench.server.queries)
    faults.silent = True
    charts = [bench.loop.submit(bench.history.read_series([index], 0, time.time_ns())) for index in (0, 1, 2, 0, 1, 2)]
    wait_for(lambda: len(bench.server.queries) >= asked + READS_AT_ONCE, "the first charts' queries")
    faults.silent = False
    bench.write("m", 2)
    assert bench.poll() == [("m", 2, POLLED)]
    assert not any(chart.done() for chart in charts)
    faults.spoken.set()
    assert all(len(chart.result(60)) for chart in charts)


def test_an_outage_is_told_apart_in_what_is_evaluated_and_in_the_status(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.poll()
    bench.write("m", 1)
    bench.server.faults.statuses = [503] * 10
    assert bench.poll() == []
    assert "no alert fires or resolves" in bench.poller.problems[0]
    bench.server.faults.statuses = []
    bench.write("m", 2)
    # The first answer tells how long it was away; what was written meanwhile is read with the next.
    found = bench.poll() + bench.poll()
    assert found == [("m", 1, AFTER_OUTAGE), ("m", 2, AFTER_OUTAGE)]
    assert bench.poller.problems == []
    bench.write("m", 3)
    assert bench.poll() == [("m", 3, POLLED)]


def test_a_source_is_said_to_have_answered_only_if_it_has(bench: Bench) -> None:
    bench.server.faults.statuses = [503] * 10
    bench.poll()
    assert "it hasn't answered since this evaluator began" in bench.poller.problems[0]
    bench.server.faults.statuses = []
    before = time.time_ns()
    bench.poll()
    bench.server.faults.statuses = [503] * 10
    bench.poll()
    answered_at = bench.history.horizon.answered_at
    assert answered_at
    assert before <= answered_at
    assert f"it answered last at {said_at(answered_at)}" in bench.poller.problems[0]


def test_what_is_too_long_ago_to_be_evaluated_is_read_only_as_far_as_rules_look_back(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m"), absence(60 * 30, rule_id="rule_2")]))
    bench.look()
    bench.history.horizon.complete_to -= 3 * HOUR
    for minutes in (170, 80, 61, 30, 1):
        bench.write("m", minutes, ago=60 * minutes)
    assert bench.poll() == [("m", 80, SKIPPED), ("m", 61, SKIPPED), ("m", 30, POLLED), ("m", 1, POLLED)]


def test_points_of_a_monitor_that_is_found_late_are_read_from_its_first_on(bench: Bench) -> None:
    bench.write("web-1", 1)
    bench.look()
    bench.interest.follow(RuleChanges(put=[rule("web-*")]))
    bench.poll()
    bench.write("web-2", 2)
    assert bench.poll() == []
    bench.look()
    assert bench.poll() == [("web-2", 2, POLLED)]
    assert bench.poll() == []


def test_what_a_monitor_had_before_it_was_found_is_what_was_before_and_not_evaluated(bench: Bench) -> None:
    bench.look()
    bench.write("m", 1, ago=300)
    bench.look(full=True)
    assert [what for kind, what in bench.evaluated.told if kind == "met"] == [(["m"], [1.0])]
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    assert bench.poll() == []


def test_a_source_that_goes_while_the_past_of_a_monitor_is_read_is_seen_to_be_away(bench: Bench) -> None:
    def go() -> None:
        bench.server.faults.statuses = [503] * 3

    bench.look()
    bench.write("m", 1, ago=300)
    bench.evaluated.before_reading = go
    bench.look(full=True)
    assert [what for kind, what in bench.evaluated.told if kind == "met"] == [(["m"], [1.0])]
    assert "no alert fires or resolves" in bench.poller.problems[0]
    bench.poll()
    assert bench.poller.problems == []


def test_what_a_sender_kept_is_read_with_the_first_point_after_its_silence(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.write("m", 1, ago=600)
    bench.look(full=True)
    bench.poll()
    bench.write("m", 2, ago=300)
    assert bench.poll() == []
    bench.write("m", 3)
    assert bench.poll() == [("m", 2, POLLED), ("m", 3, POLLED)]


def test_what_belongs_to_nobody_is_counted_and_passed_over_until_somebody_has_it(bench: Bench) -> None:
    bench.owners.others = {"m": None}
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.write("m", 1)
    assert bench.poll() == []
    assert bench.poller.unowned_count == 1
    bench.owners.others = {}
    bench.look()
    bench.write("m", 2)
    assert [value for _, value, _ in bench.poll()][-1] == 2
    assert bench.poller.unowned_count == 0


def test_a_monitor_that_goes_to_another_tenant_goes_there_with_all_that_comes(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.write("m", 1)
    bench.poll()
    bench.owners.others = {"m": "other"}
    bench.look()
    bench.write("m", 2)
    bench.poll()
    assert {bench.catalogue[index].key.tenant for index in bench.batches[-1].series.tolist()} == {"other"}


def test_while_the_user_system_is_away_known_monitors_go_on_and_new_ones_wait(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m"), rule("n", "rule_2")]))
    bench.look()
    bench.write("m", 1)
    bench.poll()
    bench.owners.away = True
    bench.write("m", 2)
    bench.write("n", 2)
    assert bench.poll() == [("m", 2, POLLED)]
    assert any("new monitors wait" in problem for problem in bench.poller.problems)
    bench.look()
    bench.owners.away = False
    bench.write("n", 3)
    assert ("n", 3, POLLED) in bench.poll()
    assert bench.poller.problems == []


def test_points_have_the_allowance_to_come(server: Influx2, loop_thread: LoopThread, folder: Path) -> None:
    with loop_thread.opened(opened(server, folder, MINUTE)) as made:
        bench = made(loop_thread)
        bench.interest.follow(RuleChanges(put=[rule("m")]))
        bench.look()
        # As if a minute had passed.
        bench.history.horizon.complete_to -= MINUTE
        bench.write("m", 1, ago=70)
        bench.write("m", 2, ago=50)
        assert bench.poll() == [("m", 1, POLLED)]


def test_what_is_pushed_is_handed_on_at_once_and_its_copy_comes_with_the_poll(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    assert bench.push("host,monitor_id=m cpu=1") == [("m", 1, Arrival.AHEAD)]
    assert bench.poll() == [("m", 1, POLLED)]


def test_while_the_polls_are_behind_what_is_pushed_waits_for_them(bench: Bench) -> None:
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    bench.history.horizon.complete_to -= MINUTE
    assert bench.push("host,monitor_id=m cpu=1") == []
    assert bench.poll() == [("m", 1, POLLED)]


def test_while_nobody_knows_whose_monitors_are_nothing_is_written(bench: Bench) -> None:
    bench.look()
    bench.owners.away = True
    with pytest.raises(ServiceUnavailable):
        bench.push("host,monitor_id=m cpu=1")
    assert not bench.server.buckets["monitors"].series


def test_who_is_not_to_take_points_writes_none_also_if_that_comes_while_they_wait(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.evaluated.trouble = "its leases are over"
    with pytest.raises(NotTaken, match=r"takes no points now: its leases are over\. Send the same again"):
        bench.push("host,monitor_id=m cpu=1")
    bench.evaluated.trouble = ""

    async def room() -> None:
        bench.evaluated.trouble = "its leases are over"

    monkeypatch.setattr(bench.evaluated, "room", room)
    with pytest.raises(NotTaken):
        bench.push("host,monitor_id=m cpu=1")
    assert not bench.server.buckets["monitors"].series


def test_what_was_pushed_before_anybody_looked_is_known_from_the_first_look_on(bench: Bench) -> None:
    assert bench.push("host,monitor_id=m cpu=1") == []
    bench.interest.follow(RuleChanges(put=[rule("m")]))
    bench.look()
    assert bench.poll() == [("m", 1, POLLED)]
