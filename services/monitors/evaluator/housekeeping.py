"""Keeps the history small and quick to open: joins, seals, forgets, and says when it must forget too early."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from monitors.evaluator.newest import Newest
from monitors.evaluator.store import RAW_POINTS, Store
from monitors.mesh.database import storage_error
from monitors.mesh.times import DAY, HOUR, MINUTE, now_nanos

log = logging.getLogger(__name__)

PAUSE_SECONDS = 10.0
RARELY = 10 * MINUTE
"""How often the newest points are saved and old ones are looked for, if there's no need to do it sooner."""
NEWEST_POINTS = 100_000
NEWEST_SHARE = 4
"""The newest points are also saved after so many points, or so many a series: a start has to read what came since."""
RAW_BYTES = 20
"""What a raw point takes. Points that aren't sealed may take a quarter of what all may take."""
RELIEF = 0.5
"""The history is full until it has shrunk to this share of what it may take."""
UNITS = ((DAY, "day"), (HOUR, "hour"), (MINUTE, "minute"))


@dataclass(frozen=True)
class Limits:
    """How long points are kept, in nanoseconds, and how many bytes of the disk they may take."""

    retention: int
    history_bytes: int


class Housekeeping:
    """Tidies in small steps while points come and go. `saved_batch` tells which batches are never evaluated again."""

    source, unowned_count = "", 0

    def __init__(self, store: Store, newest: Newest, limits: Limits, saved_batch: Callable[[], int]) -> None:
        self._store, self._newest = store, newest
        self._limits, self._saved_batch = limits, saved_batch
        self._rarely_at = 0
        self._is_full = False
        self.problem = ""
        """Why points go before their time; empty if they don't."""

    @property
    def series_problems(self) -> list[str]:
        """None: what is pushed is refused to whoever pushes it."""
        return []

    @property
    def problems(self) -> list[str]:
        """The same as a list."""
        return [self.problem] if self.problem else []

    async def run(self) -> None:
        """Tidies again and again."""
        while True:
            try:
                await self.tidy(now_nanos())
            except Exception as error:
                reason = storage_error(error)
                if reason is None:
                    raise
                log.warning("the history couldn't be tidied: %s", reason.message)
            await asyncio.sleep(PAUSE_SECONDS)

    async def tidy(self, now: int) -> None:
        """Does what there is to do by now."""
        store, most_raw = self._store, min(RAW_POINTS, self._limits.history_bytes // RAW_BYTES // 4)
        while await store.merge():
            pass
        while await store.seal_closed(now, self._saved_batch(), most_raw):
            pass
        if store.points_since_newest > max(NEWEST_POINTS, NEWEST_SHARE * store.series_count):
            await self.save_newest()
        if now - self._rarely_at >= RARELY:
            await self.save_newest()
            while await store.delete_before(now - self._limits.retention):
                pass
            self._rarely_at = now
        await self._bound(now)

    async def save_newest(self) -> None:
        """Saves each series' newest point, for the next start."""
        await self._store.save_newest(await self._store.newest_batch(), self._newest.all())

    async def _bound(self, now: int) -> None:
        """Deletes the oldest points until the others fit."""
        limit = self._limits.history_bytes
        size = await self._store.size()
        if size.bytes > limit:
            # A batch's number must not come again, and what is deleted may have been the last to know it.
            await self.save_newest()
            while size.bytes > limit and await self._store.delete_oldest():
                size = await self._store.size()
            self._is_full = True
        elif size.bytes < RELIEF * limit:
            self._is_full = False
        reach = now - size.start if size.start is not None else 0
        problem = _explain(reach, self._limits) if self._is_full and reach < self._limits.retention else ""
        if problem and not self.problem:
            log.warning("%s", problem)
        self.problem = problem


def _explain(reach: int, limits: Limits) -> str:
    return (
        f"the history is kept for {_span(reach)} instead of {_span(limits.retention)}: it fills the "
        f"{limits.history_bytes / 1e9:g} GB that it may take; raise MONITORS_HISTORY_GB, "
        "or lower MONITORS_RETENTION_DAYS"
    )


def _span(nanos: int) -> str:
    """Whole days, or hours or minutes if there's no more than one of the larger ones."""
    unit, name = next(((unit, name) for unit, name in UNITS if nanos >= 2 * unit), UNITS[-1])
    count = round(nanos / unit)
    return f"{count} {name}{'' if count == 1 else 's'}"
