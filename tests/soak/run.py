"""A soak from its start to its verdict."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from monitors.mesh.times import now_nanos
from tests.soak.mesh import Mesh, running
from tests.soak.plan import BEAT, Plan
from tests.soak.verdict import Report
from tests.soak.watch import Watch
from tests.waiting import wait_for

LOOKS = 90
"""So many times it's looked at what the processes hold."""
DRAIN = 60.0
"""Seconds for which the last messages are waited for."""
WARM_UP = 0.25
"""The share of the time in which nothing is judged: caches and buffers fill."""
SHORT_SECONDS = 900.0
"""A run that's shorter isn't warmed up for long enough to fill all caches."""
FIRING, RESOLVED = "alert.firing", "alert.resolved"
Message = tuple[str, str]
"""A monitor, and a message's type."""


def soak(home: Path, plan: Plan, seconds: float, leak: str = "", say: Callable[[str], None] = lambda _: None) -> Report:
    """Runs a mesh under the plan's load for so long and watches it. `leak` names what the notifier leaks on purpose.

    Raises AssertionError if a process doesn't end well.
    """
    with running(home, plan, leak, is_short=seconds < SHORT_SECONDS) as mesh:
        say(f"{plan.rules:,} rules are watched; warming up for {WARM_UP * seconds:.0f} s")
        run = _Soak(mesh, plan)
        run.live(WARM_UP * seconds)
        say(f"watching for {(1 - WARM_UP) * seconds:.0f} s")
        return run.watched((1 - WARM_UP) * seconds)


class _Soak:
    """The load on a mesh, and who was told of it."""

    def __init__(self, mesh: Mesh, plan: Plan) -> None:
        self._mesh, self._plan = mesh, plan
        self._watch = Watch(mesh)
        self._beat = 0
        self._firing: list[list[str]] = [[] for _ in range(plan.turns)]
        """The monitors whose alerts end at the slice's next turn."""
        self._expected, self._told = Counter[Message](), Counter[Message]()
        self._pushed: dict[Message, float] = {}
        self._slowest = 0.0

    def live(self, seconds: float, look: Callable[[], None] | None = None) -> None:
        """The load for so long. It's looked LOOKS times if there's something to look with."""
        start, pause, looked = time.monotonic(), threading.Event(), 0
        for number in range(round(seconds / BEAT)):
            pause.wait(max(0.0, start + number * BEAT - time.monotonic()))
            self._push(calm=False)
            self._hear()
            if look and time.monotonic() - start >= looked * seconds / LOOKS:
                look()
                looked, self._slowest = looked + 1, 0.0

    def watched(self, seconds: float) -> Report:
        """The load for so long, looked at. Then everything ends, and is told."""
        points, told, first = self._mesh.pusher.sent, self._told.total(), self._watch.files()
        self.live(seconds, lambda: self._watch.look(self._slowest))
        points, told, last = self._mesh.pusher.sent - points, self._told.total() - told, self._watch.files()
        self._settle()
        return Report(
            courses=self._watch.courses,
            points=points,
            transitions=told,
            told=self._told.total(),
            lost=(self._expected - self._told).total(),
            twice=(self._told - self._expected).total(),
            files={name: (first.get(name, 0), size) for name, size in last.items()},
        )

    def _push(self, *, calm: bool) -> None:
        plan, beat = self._plan, self._beat
        ended = self._firing[beat % plan.turns]
        begun = self._firing[beat % plan.turns] = [] if calm else plan.lifted(beat)
        messages = [(name, FIRING) for name in begun] + [(name, RESOLVED) for name in ended]
        self._expected.update(messages)
        self._pushed.update(dict.fromkeys(messages, time.time()))
        self._mesh.pusher.push(now_nanos(), plan.values(beat, calm=calm), plan.series(beat))
        self._beat += 1

    def _hear(self) -> None:
        for name, kind, arrived in self._mesh.endpoints.fetch():
            self._told[name, kind] += 1
            self._slowest = max(self._slowest, arrived - self._pushed.get((name, kind), arrived))

    def _settle(self) -> None:
        for _ in range(self._plan.turns):
            self._push(calm=True)
        self._mesh.pusher.finish()

        def is_told() -> bool:
            self._hear()
            return not self._expected - self._told

        # What is lost stands in the report.
        with suppress(AssertionError):
            wait_for(is_told, "the rest to be told", DRAIN, every=BEAT)
