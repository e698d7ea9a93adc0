"""Points that are pushed where points are polled: written through to the source, then evaluated at once."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.intake import AHEAD, Evaluation, Refusal, Written, refusals_of, resolved, timely
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.monitor_tags import MonitorTags
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import Definition, Mask, Points, Submission, compact
from monitors.evaluator.polling.acquaintance import announce
from monitors.evaluator.polling.history import PolledHistory
from monitors.evaluator.polling.running_ahead import RunningAhead
from monitors.evaluator.registering import Registrar
from monitors.evaluator.sources.errors import SourceError, WriteRefused
from monitors.evaluator.sources.line_text import Named, key_of, lines_of, named
from monitors.evaluator.sources.port import Source
from monitors.evaluator.turns import Turns
from monitors.mesh.errors import NotTaken
from monitors.mesh.identity.owners import Owners
from monitors.mesh.spans import current_traceparent, is_traced
from monitors.mesh.times import now_nanos

log = logging.getLogger(__name__)

WRITES_AT_ONCE, WRITES_OF_TENANT = 8, 4
"""How many writes are on their way at the same time, of all tenants and of each; others wait."""
INLINE_POINTS = 2_000
"""So many become lines in a few milliseconds; more do so off the event loop."""
MOST_KNOWN = 200_000
NOT_FINITE = "InfluxDB keeps neither NaN nor infinity; leave such points out"
UNSAYABLE = (
    "line protocol can't say this series: in names no backslash may stand before a comma, an equals sign, a space or a "
    "quote, nor at the end, a measurement mayn't begin with #, and a tag monitor_id names the monitor; choose others"
)
NOBODYS = "the InfluxDB has no such monitor of yours; check its id, or have it set up first"


class _Known(NamedTuple):
    """A series as it's written; `named` is None if line protocol can't say it."""

    monitor: str
    type: FieldType
    named: Named | None


@dataclass(frozen=True)
class Target:
    """Where points are written, and who is asked before. `why_not` says why nothing may be written now; empty if it
    may."""

    source: Source
    catalogue: Catalogue
    owners: Owners
    registrar: Registrar
    why_not: Callable[[], str]


class WriteThrough:
    """A Sink. What it has accepted is in the source. What it raises an error for is to be sent again, which does no
    harm even if some of it is there: a point of the same series and time is the same point.

    Counts are of what was pushed and of what was polled, which is some of it once more.
    """

    def __init__(
        self,
        target: Target,
        history: PolledHistory,
        newest: Newest,
        tags: MonitorTags,
        evaluation: Evaluation,
        ahead: RunningAhead,
        retention: int,
    ) -> None:
        self._source, self._catalogue = target.source, target.catalogue
        self._owners, self._registrar, self._why_not = target.owners, target.registrar, target.why_not
        self._history, self._newest, self._tags, self._evaluation = history, newest, tags, evaluation
        self._ahead, self._retention = ahead, retention
        self._turns = Turns(WRITES_AT_ONCE, WRITES_OF_TENANT)
        self._known: dict[int, _Known] = {}
        self._is_traced = is_traced()
        self.accepted_count = 0
        self.refused_count = 0
        self.problem = ""

    async def write(self, submission: Submission) -> Written:
        """See Sink. Raises WriteRefused with the source's words, SourceUnavailable, ServiceUnavailable if there are
        new series and RuleService is away, IdentityUnavailable if it can't be told whose monitors are, and NotTaken."""
        self._check()
        now = now_nanos()
        points, refusals = timely(submission.points, now - self._retention, now + AHEAD)
        points, misfits = await self._checked(points, submission)
        refusals += misfits
        points, misfits = await resolved(self._registrar, points, submission.definitions)
        refusals += misfits
        if len(points):
            if points.texts:
                points = compact(points, self._history.is_text(points))
            await self._evaluation.room()
            await self._write(submission.tenant, points)
            self._take(points)
        written = Written(len(points), tuple(refusals))
        self.accepted_count += written.accepted
        self.refused_count += written.refused
        return written

    # --- what may be written ---

    def _check(self) -> None:
        why = self._why_not()
        if why:
            raise NotTaken(why)

    async def _checked(self, points: Points, submission: Submission) -> tuple[Points, list[Refusal]]:
        """The points that are the tenant's and that the source can keep. No word tells whether others are anybody's."""
        series, which = np.unique(points.series, return_inverse=True)
        known = [self._look_up(one, submission.definitions) for one in series.tolist()]
        owners = await self._owners.owners({one.monitor for one in known})
        strange = np.array([owners.get(one.monitor) != submission.tenant for one in known], np.bool_)[which]
        unsayable = np.array([one.named is None for one in known], np.bool_)[which]
        types = np.array([one.type for one in known], np.uint8)[which]
        endless = (types == FieldType.FLOAT) & ~np.isfinite(points.values.view(np.float64))
        refusals, good = list[Refusal](), np.ones(len(points), np.bool_)
        for wrong, reason in ((strange, NOBODYS), (unsayable, UNSAYABLE), (endless, NOT_FINITE)):
            found: Mask = wrong & good
            if found.any():
                refusals += refusals_of(points, found, reason)
                good &= ~found
        return (points.take(good), refusals) if refusals else (points, [])

    def _look_up(self, series: int, definitions: Mapping[int, Definition]) -> _Known:
        if series < 0:
            return self._describe(definitions[~series])
        known = self._known.get(series)
        if known is None:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            one = self._catalogue[series]
            known = self._known[series] = self._describe(Definition(one.key, one.type))
        return known

    def _describe(self, definition: Definition) -> _Known:
        key, kind = definition
        return _Known(key.monitor, kind, named(key_of(key, kind), self._tags.of(key)))

    # --- writing and evaluating ---

    async def _write(self, tenant: str, points: Points) -> None:
        async with self._turns.turn(tenant):
            series, which = np.unique(points.series, return_inverse=True)
            names = [one for at in series.tolist() if (one := self._look_up(at, {}).named)]
            pieces: Sequence[bytes]
            if len(points) <= INLINE_POINTS:
                pieces = list(lines_of(points, names, which))
            else:
                pieces = await asyncio.to_thread(lambda: list(lines_of(points, names, which)))
            try:
                for piece in pieces:
                    # It may have waited for long, and have given its shards back meanwhile.
                    self._check()
                    await self._source.write(piece)
            except SourceError as error:
                self._note(error, len(points))
                raise
            self.problem = ""

    def _note(self, error: SourceError, count: int) -> None:
        if isinstance(error, WriteRefused):
            # That concerns its sender alone, who is told.
            self.refused_count += count
            return
        if not self.problem:
            log.warning("points can't be written: %s", error.message)
        self.problem = f"points can't be written: {error.message}"

    def _take(self, points: Points) -> None:
        """Has points evaluated that are in the source. What isn't, for any reason, is when it's polled."""
        self._newest.update(points, self._history.is_text(points) if points.texts else None)
        if not self._history.listed.is_set():
            return
        announce(self._catalogue, self._evaluation)
        traceparent = current_traceparent() if self._is_traced else ""
        self._ahead.take(points, (traceparent,) if traceparent else ())
