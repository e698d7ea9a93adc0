"""New series: registered with RuleService before they are ours, so that their first points can't be unknown to it."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import numpy as np

from monitors.evaluator.catalogue import Catalogue
from monitors.evaluator.model.series import FieldType, Int32s
from monitors.evaluator.points import Definition

BREATH = 2_000


class SeriesRegistry(Protocol):
    """Whoever must know of a series before its first point is taken."""

    async def report(self, tenant: str, definitions: Sequence[Definition]) -> list[FieldType | None]:
        """Registers series; answers for each the type that its field has already, if that's another one."""


class Registrar:
    """Finds series in the catalogue, and brings new ones into it."""

    def __init__(self, catalogue: Catalogue, registry: SeriesRegistry) -> None:
        self._catalogue, self._registry = catalogue, registry

    async def find_or_add(self, definitions: Sequence[Definition]) -> tuple[Int32s, dict[int, str]]:
        """The index of each series of a tenant, -1 for those that can't be had, and why they can't, by place.

        Raises what the registry raises; then none of them was added.
        """
        catalogue = self._catalogue
        found: list[int | str | None] = []
        for place, definition in enumerate(definitions):
            found.append(catalogue.find(definition))
            await _breathe(place)
        new = [definition for definition, one in zip(definitions, found, strict=True) if one is None]
        if new:
            await self._register(new[: catalogue.room(new[0].key.tenant)])
        indexes, reasons = np.full(len(definitions), -1, np.int32), dict[int, str]()
        for place, one in enumerate(found):
            # Meanwhile another writer may have added it, or its type may have become known.
            result = catalogue.find_or_add(definitions[place]) if one is None else one
            if isinstance(result, str):
                reasons[place] = result
            else:
                indexes[place] = result
            await _breathe(place)
        return indexes, reasons

    async def _register(self, new: list[Definition]) -> None:
        # Two writers may report the same series at once: to report is idempotent, and whoever comes second finds it.
        tenant = new[0].key.tenant
        for definition, known in zip(new, await self._registry.report(tenant, new), strict=True):
            if known is not None:
                self._catalogue.learn_type(definition.key, known)


async def _breathe(place: int) -> None:
    """Lets others come to the loop now and then in a long loop of ours."""
    if place % BREATH == BREATH - 1:
        await asyncio.sleep(0)
