"""`kill -9` in the middle of a step: what was pending, firing or cooling goes on as if nothing had been but time.

The time of the outage, and nothing else, is missing from the clocks (R2). Everything else is what the oracle tells of
an evaluator that was never killed: each alert's beginning, firing and end to the nanosecond.
"""

import random
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from monitors.evaluator.model.series import FieldType, Series, SeriesKey
from monitors.evaluator.model.spec import ConditionKind, RuleSpec
from monitors.mesh.times import SECOND
from monitors.v1.rule_pb2 import Rule
from monitors.v1.rule_service_pb2 import BatchCreateRulesRequest, ListAlertsRequest
from tests.clients import rule_service
from tests.evaluator.engine.oracle import Oracle
from tests.evaluator.engine.oracle import Told as OracleTold
from tests.processes import MeshProcess, wait_for
from tests.servers.backends import keeping_points

HOLD = 2
"""How many seconds a condition must hold, or an alert goes on firing."""
COUNT = 10
LOW, HIGH = 1.0, 50.0
KINDS = {"plain": (0, 0), "pending": (HOLD, 0), "cooling": (0, HOLD), "both": (HOLD, HOLD)}
"""What the monitors' names begin with, and their rules' `for` and `keep_firing_for`."""
MONITORS = [f"{kind}{number}" for kind in KINDS for number in range(COUNT)]

Row = tuple[str, int, float]
"""(monitor, nanoseconds, value)."""
Told = tuple[str, int, int, int, str]
"""Monitor, since when true, when it fired, when it ended (0: it hasn't), why."""


@dataclass
class Life:
    """A mesh that is written to, and what was written to it."""

    mesh: MeshProcess
    choice: random.Random
    written: list[Row] = field(default_factory=list)

    def write(self, rows: list[Row]) -> None:
        """Writes points, until they are durable."""
        lines = "\n".join(f"m,monitor_id={monitor} v={value} {when}" for monitor, when, value in rows)
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.mesh.http_port}/api/v2/write?org=o&bucket=b",
            data=lines.encode(),
            headers={"Authorization": f"Token {self.mesh.key}"},
        )
        with urllib.request.urlopen(request, timeout=20):
            self.written += rows

    def some(self, kind: str, value: float) -> list[Row]:
        """Points of now: of the first monitor of a kind, and of some others, but not of the last."""
        numbers = [0, *(number for number in range(1, COUNT - 1) if self.choice.random() < 0.5)]
        return [(f"{kind}{number}", time.time_ns(), value) for number in numbers]

    def burst(self) -> list[Row]:
        """Many points of the plain monitors, which go up and down, all after those that were written before."""
        began, values = time.time_ns(), (LOW, HIGH)
        return [
            (f"plain{number}", began + 1000 * (step * COUNT + number), self.choice.choice(values))
            for step in range(20)
            for number in range(COUNT)
        ]

    def alerts(self) -> set[Told]:
        """Every alert that there has been."""
        with rule_service(self.mesh) as stub:
            listed = stub.ListAlerts(ListAlertsRequest(page_size=1000)).alerts
        return {
            (
                one.monitor_id,
                one.active_time.ToNanoseconds(),
                one.fire_time.ToNanoseconds(),
                one.resolve_time.ToNanoseconds(),
                one.resolve_reason,
            )
            for one in listed
            if one.monitor_id in MONITORS
        }

    def make_rules(self) -> None:
        """One rule for each kind of monitor, and waits until they are evaluated."""
        self.write([(monitor, time.time_ns(), LOW) for monitor in [*MONITORS, "probe"]])
        made = [
            Rule(
                monitor_id=f"{kind}*", title=kind, condition_text="v > 10", interval=Duration(seconds=1),
                for_duration=Duration(seconds=pending), keep_firing_for=Duration(seconds=keep),
            )
            for kind, (pending, keep) in {**KINDS, "probe": (0, 0)}.items()
        ]  # fmt: skip
        with rule_service(self.mesh) as stub:
            stub.BatchCreateRules(BatchCreateRulesRequest(rules=made))
            self.write([("probe", time.time_ns(), HIGH)])
            probing = ListAlertsRequest(filter="monitor_id=probe")
            wait_for(lambda: stub.ListAlerts(probing).alerts, "the rules")

    def die(self) -> None:
        """SIGKILL while points are on their way; then another start. What wasn't acknowledged is sent again."""
        rows = self.burst()
        sending = threading.Thread(target=self._try_to_write, args=(rows,))
        sending.start()
        threading.Event().wait(self.choice.uniform(0.001, 0.03))
        self.mesh.kill()
        sending.join()
        self.mesh.start()
        self.write(rows)

    def _try_to_write(self, rows: list[Row]) -> None:
        with suppress(OSError, HTTPException):
            self.write(rows)


def expected(rows: list[Row], crash: int, outage: tuple[int, int], until: int) -> set[Told]:
    """What the oracle tells of these points; those before `crash` came before the outage, (start, end)."""
    told: set[Told] = set()
    for kind, (pending, keep) in KINDS.items():
        spec = RuleSpec(
            "t", kind, f"{kind}*", ConditionKind.THRESHOLD, field="v", low=10, interval=SECOND,
            for_duration=pending * SECOND, keep_firing_for=keep * SECOND,
        )  # fmt: skip
        names = [name for name in MONITORS if spec.matches_monitor(name)]
        series = [Series(index, SeriesKey("t", name, "m", "v"), FieldType.FLOAT) for index, name in enumerate(names)]
        mine = sorted((when, names.index(name), value) for name, when, value in set(rows) if name in names)
        alone = Oracle(spec, series, mine[0][0] - 1)
        before = [row for row in mine if row[0] <= crash]
        events = [told for when, index, value in before for told in alone.feed([(index, when, value)], when)]
        events += alone.feed([], outage[0])
        alone.be_away(outage[1])
        for when, index, value in mine[len(before) :]:
            events += alone.feed([(index, when, value)], when)
        told |= set(_episodes([*events, *alone.feed([], until)]))
    return told


def _episodes(events: list[OracleTold]) -> Iterator[Told]:
    fired: dict[str, tuple[int, int]] = {}
    for kind, monitor, _, when, episode, _, reason, _ in events:
        if kind == "firing":
            fired[monitor] = (episode, when)
        else:
            yield (monitor, *fired.pop(monitor), when, reason)
    for monitor, (episode, when) in fired.items():
        yield (monitor, episode, when, 0, "")


def shape(alerts: set[Told]) -> Counter[tuple[str, bool]]:
    """How many alerts each monitor has had, and how many are over."""
    return Counter((alert[0], alert[3] > 0) for alert in alerts)


@pytest.mark.process
@pytest.mark.parametrize("seed", range(3))
def test_kill_nine_takes_nothing_but_its_time_from_what_is_pending_firing_or_cooling(tmp_path: Path, seed: int) -> None:
    # Beside an InfluxDB an outage of ours costs nothing: what was written meanwhile is read.
    mesh = MeshProcess(tmp_path, "--no-host", environment=keeping_points())
    mesh.start()
    life = Life(mesh, random.Random(seed))
    life.make_rules()
    life.write(life.some("plain", HIGH) + life.some("cooling", HIGH))
    # Pending from here on, and cooling: false, but still firing.
    life.write(life.some("pending", HIGH) + life.some("both", HIGH) + life.some("cooling", LOW))
    held = {name: when for name, when, value in life.written if name == "pending0" and value == HIGH}["pending0"]
    killed_after = time.time_ns()
    life.die()
    ready = time.time_ns()
    life.write([(f"plain{number}", time.time_ns(), life.choice.choice((LOW, HIGH))) for number in range(COUNT)])
    low = [row for row in life.some("pending", LOW) if row[0] != "pending0"]
    high = [row for row in life.some("cooling", HIGH) if row[0] != "cooling0"]
    life.write(low + high)

    end = ready + 60 * SECOND

    def told(away: int) -> set[Told]:
        return expected(life.written, killed_after + 1, (ready - away, ready), end)

    check(life, told, held, ready - killed_after)
    assert mesh.stop() == 0


def check(life: Life, told: Callable[[int], set[Told]], held: int, longest: int) -> None:
    """Compares what there is with what there should be, once the outage's length can be seen."""
    wanted = shape(told(longest))
    wait_for(lambda: shape(life.alerts()) == wanted, f"{wanted}", 30)
    alerts = life.alerts()
    # The first monitor that was pending shows by how much the clocks were put off.
    (away,) = {active - held for monitor, active, *_ in alerts if monitor == "pending0"}
    assert 0 < away <= longest
    assert alerts == told(away)
