"""Gets everything that is sealed under the first master key, while deliveries and changes go on."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from monitors.mesh.config import NotifierSettings
from monitors.mesh.database import Database
from monitors.mesh.master_keys import KeyUnusable, key_ring
from monitors.mesh.secrets import Sealer
from monitors.notifier.store.sealed import PLACES, keep_fingerprint_key, reseal, standing

# A write of so many rows holds up the others for some milliseconds.
BATCH = 100


@dataclass(frozen=True)
class Standing:
    """The keys that there are, the one that seals first, and how many rows stand under which, by table and key."""

    keys: list[str]
    rows: Mapping[str, Mapping[str, int]]

    @property
    def under(self) -> dict[str, int]:
        """How many rows stand under which key, over all tables."""
        names = dict.fromkeys([*self.keys, *(name for counted in self.rows.values() for name in counted)])
        return {name: sum(counted.get(name, 0) for counted in self.rows.values()) for name in names}


@dataclass(frozen=True)
class Rotated:
    """What was done: how many rows were sealed anew, how many can't be opened by any key, and how all stand now."""

    resealed: int
    lost: int
    standing: Standing


class Rotation:
    """The notifier's database as far as it's sealed."""

    def __init__(self, database: Database, sealer: Sealer) -> None:
        self._database = database
        self._sealer = sealer

    def is_current(self) -> bool:
        """Whether the database has the schema of this version."""
        return self._database.is_current()

    async def look(self) -> Standing:
        """How everything stands."""
        rows = await self._database.read(lambda session: standing(session, self._sealer))
        return Standing(self._sealer.key_names, rows)

    async def run(self, *, give_up_lost: bool = False) -> Rotated:
        """Seals everything anew that isn't under the first key. It may be stopped at any time and run again. With
        `give_up_lost` notifiers start from now on though no key opens what was sealed first."""
        resealed = lost = 0
        for place in PLACES:
            after: tuple[str, ...] | None = None
            while True:
                batch = await self._database.write(
                    lambda session: reseal(session, self._sealer, place, after, BATCH),  # noqa: B023
                    repeatable=True,
                )
                resealed, lost, after = resealed + batch.resealed, lost + batch.lost, batch.last
                if after is None:
                    break
        if give_up_lost:
            await self._database.write(lambda session: keep_fingerprint_key(session, self._sealer), repeatable=True)
        return Rotated(resealed, lost, await self.look())


@asynccontextmanager
async def open_rotation(settings: NotifierSettings) -> AsyncIterator[Rotation]:
    """The rotation of a notifier's database, which may be in use. Raises DatabaseUnusable and KeyUnusable."""
    if not settings.master_keys and not settings.master_key_file.exists():
        raise KeyUnusable(
            "there is no master key: set MONITORS_MASTER_KEYS as the notifier has it, or MONITORS_HOME so that its key "
            f"is {settings.master_key_file}"
        )
    sealer = Sealer(key_ring(settings.master_keys, settings.master_key_file))
    database = Database(settings.database_url, name="secrets", migrations="monitors.notifier.migrations")
    try:
        yield Rotation(database, sealer)
    finally:
        database.close()
