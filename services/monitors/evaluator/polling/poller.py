"""Polls: reads what has become complete since the last time and hands it on to be evaluated."""

import asyncio
import logging
import random
import time
from collections.abc import Sequence
from contextlib import aclosing, nullcontext
from dataclasses import replace
from functools import partial
from typing import Protocol

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.history import ReadWindow
from monitors.evaluator.intake import Evaluation, Sink
from monitors.evaluator.model.evaluation import CATCH_UP
from monitors.evaluator.model.horizon import Horizon
from monitors.evaluator.model.series import Arrival, Batch, Series
from monitors.evaluator.model.wording import at
from monitors.evaluator.polling.acquaintance import Acquaintance, announce
from monitors.evaluator.polling.cadence import Cadence
from monitors.evaluator.polling.history import PolledHistory
from monitors.evaluator.sources.errors import SourceError
from monitors.evaluator.sources.port import EVERYTHING, Selection, Source
from monitors.evaluator.spans import poll_span
from monitors.mesh.config import PollSettings
from monitors.mesh.errors import MeshError
from monitors.mesh.spans import current_traceparent, is_traced
from monitors.mesh.times import SECOND, now_nanos

log = logging.getLogger(__name__)

JITTER = 0.2
"""By which share polls come earlier or later, so that evaluators don't all ask at once."""
LONGEST_PAUSE = 30.0
SHARE_OF_LOOKS = 0.05
"""Which share of the time may be spent on looking what series have reported of late, and as much again on looking what
others there are."""
LONGEST_LOOK_PAUSE = 60.0
"""How many seconds are between two looks at most."""
POLLS_BETWEEN_FULL_LOOKS = 12
"""What was written with times of long ago is found that seldom at most."""
LATE = 10 * SECOND
"""What takes longer than three polls and this has fallen behind."""


class PolledEvaluation(Evaluation, Protocol):
    """Whatever evaluates what is polled."""

    async def meet_series(self, series: Sequence[Series], until: int, read: ReadWindow) -> None:
        """Makes new series known that may have had points before; up to `until` they are read as what was before."""


class Poller:
    """Polls a source, and looks what is new there at most `retention` nanoseconds ago."""

    def __init__(
        self,
        source: Source,
        history: PolledHistory,
        acquaintance: Acquaintance,
        catalogue: Catalogue,
        evaluation: PolledEvaluation,
        settings: PollSettings,
        counts: Sink,
        retention: int,
    ) -> None:
        self._source, self._history, self._acquaintance = source, history, acquaintance
        self._catalogue, self._evaluation, self._counts = catalogue, evaluation, counts
        self._interval, self._allowance, self._retention = settings.interval, settings.allowance, retention
        self._cadence = Cadence()
        self._listed_to, self._full_look_at = 0, 0.0
        self._fresh: dict[str, int] = {}
        """Monitors that a look has found, of which nothing has been read yet, and since when there may be points."""
        self._reason = self._problem = ""
        self._failures = 0
        self._is_traced = is_traced()

    @property
    def source(self) -> str:
        """What is polled."""
        return f"InfluxDB {self._source.version.said}".strip()

    @property
    def unowned_count(self) -> int:
        """How many of its series belong to no tenant."""
        return self._acquaintance.unowned_count

    @property
    def series_problems(self) -> list[str]:
        """Why series of tenants aren't taken."""
        return self._acquaintance.series_problems

    @property
    def problems(self) -> list[str]:
        """What keeps the evaluation up; none if nothing does."""
        horizon, now = self._history.horizon, now_nanos()
        found = [self._problem, self._acquaintance.problem]
        if horizon.away_since is not None:
            found.append(
                f"{self._reason}; {_last_answer(horizon)}. Until it does, no alert fires or resolves; then what was "
                "written meanwhile is evaluated"
            )
        elif now - horizon.complete_to > self._allowance + slack_of(self._interval):
            found.append(
                f"what InfluxDB has is evaluated up to {at(horizon.complete_to)}: it's read more slowly than it "
                "grows, or its writers still have time for what they kept while it was away"
            )
        return [one for one in found if one]

    async def run(self) -> None:
        """Polls for ever; what fails is tried again."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look_around_for_ever())
            while True:
                await self.poll()
                pause = min(self._interval * 2.0 ** min(self._failures, 6), max(LONGEST_PAUSE, self._interval))
                await asyncio.sleep(pause * random.uniform(1 - JITTER, 1 + JITTER))

    # --- polls ---

    async def poll(self) -> None:
        """Reads on up to what is complete by now."""
        asked_at = now_nanos()
        try:
            with poll_span() if self._is_traced else nullcontext():
                async with self._history.reading:
                    await self._read_on(self._history.horizon.reach(asked_at))
        except SourceError as error:
            self._note_away(error)
        except MeshError as error:
            # New series wait for RuleService, and everything after their first points with them.
            self._problem = f"what InfluxDB has new can't be registered: {error.message}"
            self._failures += 1
        else:
            self._note_answer(asked_at)

    async def _read_on(self, target: int) -> None:
        horizon, asked = self._history.horizon, False
        if self._history.listed.is_set():
            selection = self._history.selection
            async with aclosing(self._history.batches(horizon.complete_to, target)) as found:
                async for batch in found:
                    asked = asked or selection.monitors != ()
                    await self._hand_on(await self._with_what_came_late(batch, selection))
        if not asked:
            await self._probe()

    async def _hand_on(self, batch: Batch) -> None:
        announce(self._catalogue, self._evaluation)
        await self._evaluation.room()
        self._cadence.note(batch.series, batch.times)
        traceparent = current_traceparent() if self._is_traced else ""
        if traceparent:
            batch = replace(batch, traceparents=(traceparent,))
        self._evaluation.push(batch)
        self._history.horizon.complete_to = batch.number
        self._counts.accepted_count += len(batch.series)

    async def _with_what_came_late(self, batch: Batch, selection: Selection) -> Batch:
        """The batch, with what was written late of series that come back after a silence, or that nobody knew."""
        begin = self._history.horizon.complete_to
        if batch.arrival is not Arrival.POLLED:
            return batch
        series, since = self._cadence.returned(batch.series, batch.times)
        monitors = {self._catalogue[index].key.monitor for index in series.tolist()}
        oldest = int(since.min(initial=begin))
        # Of everything, what is new has come anyway.
        for monitor in self._fresh.keys() & set(selection.monitors or ()):
            monitors.add(monitor)
            oldest = min(oldest, self._fresh[monitor])
        self._fresh.clear()
        oldest = max(oldest, batch.number - CATCH_UP)
        if not monitors or oldest >= begin:
            return batch
        wanted = Selection(tuple(sorted(monitors)), fields=selection.fields)
        earlier = await self._history.read(wanted, oldest + 1, begin)
        return self._history.batch_of(batch, earlier.take(earlier.times > self._cadence.newest(earlier.series)))

    async def _probe(self) -> None:
        """Asks for next to nothing, to learn whether it answers."""
        now = now_nanos()
        async with aclosing(self._source.read(EVERYTHING, now, now)) as parts:
            async for _ in parts:
                break

    def _note_trouble(self, error: MeshError) -> None:
        if isinstance(error, SourceError):
            self._note_away(error)

    def _note_away(self, error: SourceError) -> None:
        horizon = self._history.horizon
        if horizon.away_since is None:
            log.warning("%s; until it answers, no alert fires or resolves", error.message)
        horizon.failed()
        self._reason, self._failures = error.message, self._failures + 1

    def _note_answer(self, asked_at: int) -> None:
        horizon = self._history.horizon
        if horizon.away_since is not None:
            if horizon.answered_at is None:
                log.warning("InfluxDB answers now, which it hadn't since this evaluator began")
            else:
                log.warning("InfluxDB answers again, after %.0f s", (asked_at - horizon.answered_at) / SECOND)
        horizon.answered(asked_at)
        self._problem, self._failures = "", 0

    # --- looks ---

    async def _look_around_for_ever(self) -> None:
        while True:
            began = time.monotonic()
            full = began >= self._full_look_at
            try:
                await self.look_around(full=full)
                pause = max((time.monotonic() - began) / SHARE_OF_LOOKS, self._interval)
                if full:
                    self._full_look_at = began + max(pause, POLLS_BETWEEN_FULL_LOOKS * self._interval)
                    pause = self._interval
                await asyncio.sleep(min(pause, LONGEST_LOOK_PAUSE) * random.uniform(1 - JITTER, 1 + JITTER))
            except MeshError as error:
                # A poll that fails as well says so.
                log.debug("what series InfluxDB has isn't known yet: %s", error.message)
                await asyncio.sleep(self._interval)

    async def _meet(self, until: int) -> None:
        """Makes series known that have been found otherwise than by reading on, with their points up to `until`: later
        ones are evaluated."""
        async with self._history.reading:
            new = self._catalogue.unsaved()
            self._catalogue.mark_saved(new)
            if new:
                read = partial(self._history.read_past, on_error=self._note_trouble)
                await self._evaluation.meet_series(new, until, read)

    async def look_around(self, *, full: bool) -> None:
        """Learns which series there are, whose they are, and what each had last. If it isn't `full`, only those are
        found that have reported since the last time."""
        now, known = now_nanos(), len(self._catalogue)
        await self._acquaintance.review()
        recent = self._listed_to - self._allowance
        start = now - self._retention if full else recent
        async with aclosing(self._source.newest(EVERYTHING, start, now)) as parts:
            async for part in parts:
                points = await self._acquaintance.translate(part)
                self._acquaintance.note_newest(points)
                if not self._history.listed.is_set():
                    past = points.times <= self._history.horizon.complete_to
                    self._cadence.note(points.series[past], points.times[past])
        self._listed_to = now
        if self._history.listed.is_set():
            await self._meet(recent)
            for index in range(known, len(self._catalogue)):
                self._fresh.setdefault(self._catalogue[index].key.monitor, recent)
        else:
            # The engine begins with these.
            self._catalogue.mark_saved(self._catalogue.unsaved())
            self._history.listed.set()


def slack_of(interval: float) -> int:
    """How many nanoseconds a poll may be behind before that is worth a word."""
    return 3 * int(interval * SECOND) + LATE


def _last_answer(horizon: Horizon) -> str:
    if horizon.answered_at is None:
        return "it hasn't answered since this evaluator began"
    return f"it answered last at {at(horizon.answered_at)}"
