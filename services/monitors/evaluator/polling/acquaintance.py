"""The source's series as ours: whose they are, and which indexes they have."""

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.intake import Evaluation
from monitors.evaluator.model.series import FieldType, Int32s
from monitors.evaluator.newest import Newest
from monitors.evaluator.points import EMPTY, Mask, Points, compact
from monitors.evaluator.registering import Registrar
from monitors.evaluator.sources.port import Source
from monitors.mesh.errors import MeshError, QuotaExceeded
from monitors.mesh.identity.owners import Owners

log = logging.getLogger(__name__)

UNSEEN, NOBODYS, REFUSED = -1, -2, -3


class OneOwner:
    """All monitors of a source belong to one tenant."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant

    async def owners(self, monitor_ids: Iterable[str]) -> Mapping[str, str]:
        """See Owners."""
        return dict.fromkeys(monitor_ids, self._tenant)


class Acquaintance:
    """Which of our series each of a source's is. Those that belong to nobody, or can't be had, are left out."""

    def __init__(
        self, source: Source, catalogue: Catalogue, owners: Owners, registrar: Registrar, newest: Newest
    ) -> None:
        self._source, self._catalogue, self._owners, self._registrar = source, catalogue, owners, registrar
        self._newest = newest
        self._indexes: Int32s = np.empty(0, np.int32)
        self._reasons: Counter[str] = Counter()
        self._owners_problem = ""

    @property
    def unowned_count(self) -> int:
        """How many series belong to no tenant."""
        return int(np.count_nonzero(self._indexes == NOBODYS))

    @property
    def problem(self) -> str:
        """Why it can't be told whose series are; empty if it can."""
        return self._owners_problem

    @property
    def series_problems(self) -> list[str]:
        """Why series of tenants aren't taken."""
        return [f"{count:,} series aren't evaluated: {reason}" for reason, count in self._reasons.items()]

    async def translate(self, points: Points) -> Points:
        """Points whose `series` are the source's places, with ours instead. Raises ServiceUnavailable if some are new
        and RuleService is away."""
        if not len(points):
            return EMPTY
        self._reserve()
        new = np.unique(points.series[self._indexes[points.series] == UNSEEN])
        if len(new):
            await self._meet(new.tolist())
        indexes = self._indexes[points.series]
        ours = Points(indexes, points.times, points.values, points.texts)
        if int(indexes.min()) < 0:
            ours = ours.take(indexes >= 0)
        return compact(ours, self.is_text(ours)) if ours.texts else ours

    def note_newest(self, points: Points) -> None:
        """Remembers the newest of these points, with our indexes, of each series."""
        self._newest.update(points, self.is_text(points) if points.texts else None)

    def is_text(self, points: Points) -> Mask:
        """Which of these points, with our indexes, hold texts."""
        mask: Mask = self._catalogue.types_of(points.series) == FieldType.STRING
        return mask

    async def review(self) -> None:
        """Looks again whose the series are: some may have come to somebody, or to somebody else."""
        self._reserve()
        met = np.flatnonzero((self._indexes >= 0) | (self._indexes == NOBODYS)).tolist()
        series = self._source.series
        owners = await self._ask_owners({series[place].monitor for place in met})
        if owners is None:
            return
        for place in met:
            index = int(self._indexes[place])
            tenant = self._catalogue[index].key.tenant if index >= 0 else None
            if owners.get(series[place].monitor) != tenant:
                self._indexes[place] = UNSEEN

    def _reserve(self) -> None:
        missing = len(self._source.series) - len(self._indexes)
        if missing > 0:
            self._indexes = np.append(self._indexes, np.full(missing, UNSEEN, np.int32))

    async def _meet(self, places: Sequence[int]) -> None:
        """Finds or adds what comes for the first time."""
        series = self._source.series
        owners = await self._ask_owners({series[place].monitor for place in places})
        if owners is None:
            return
        by_tenant = defaultdict[str, list[int]](list)
        for place in places:
            tenant = owners.get(series[place].monitor)
            if tenant is None:
                self._indexes[place] = NOBODYS
            else:
                by_tenant[tenant].append(place)
        for tenant, own in by_tenant.items():
            await self._add(tenant, own)

    async def _ask_owners(self, monitors: set[str]) -> Mapping[str, str] | None:
        """Whose monitors are; None if that can't be known now: then what is new waits."""
        try:
            owners = await self._owners.owners(monitors)
        except MeshError as error:
            if not self._owners_problem:
                log.warning("whose new monitors are can't be looked up: %s", error.message)
            self._owners_problem = f"new monitors wait, since whose they are can't be looked up: {error.message}"
            return None
        self._owners_problem = ""
        return owners

    async def _add(self, tenant: str, places: list[int]) -> None:
        definitions = [self._source.series[place].of(tenant) for place in places]
        try:
            indexes, reasons = await self._registrar.find_or_add(definitions)
        except QuotaExceeded as error:
            self._indexes[places] = REFUSED
            self._note_reason(error.message, len(places))
            return
        self._indexes[places] = np.where(indexes < 0, REFUSED, indexes)
        for reason in reasons.values():
            self._note_reason(reason, 1)

    def _note_reason(self, reason: str, count: int) -> None:
        if reason not in self._reasons:
            log.warning("a series of InfluxDB isn't taken: %s", reason)
        self._reasons[reason] += count


def announce(catalogue: Catalogue, evaluation: Evaluation) -> None:
    """Makes series known to the evaluation that have come up with points of its next batch."""
    new = catalogue.unsaved()
    if new:
        evaluation.add_series(new)
        catalogue.mark_saved(new)
