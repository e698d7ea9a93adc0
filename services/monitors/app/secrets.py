"""`monitors secrets`: straight at the notifier's database, with the keys in the environment. The notifier may run."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from monitors.mesh.config import Settings
from monitors.mesh.database import DatabaseUnusable
from monitors.notifier.rotation import Rotated, Rotation, Standing, open_rotation

T = TypeVar("T")
SQLITE = "sqlite:///"


def look(settings: Settings) -> Standing:
    """How everything that is sealed stands. Raises DatabaseUnusable and KeyUnusable."""
    return _at(settings, Rotation.look)


def rotate(settings: Settings, *, give_up_lost: bool = False) -> Rotated:
    """Seals everything anew that isn't under the first key; see Rotation. Raises DatabaseUnusable and KeyUnusable."""
    return _at(settings, lambda rotation: rotation.run(give_up_lost=give_up_lost))


def _at(settings: Settings, work: Callable[[Rotation], Awaitable[T]]) -> T:
    """Makes no database where there is none, and changes no schema under a notifier that runs."""
    file = "".join(settings.notifier.database_url).removeprefix(SQLITE)
    if settings.notifier.database_url.startswith(SQLITE) and not Path(file).exists():
        raise DatabaseUnusable(
            f"there is no database {file}: name the notifier's with MONITORS_NOTIFIER_DATABASE_URL, or its folder with "
            "MONITORS_HOME"
        )
    return asyncio.run(_on_present_schema(settings, work))


async def _on_present_schema(settings: Settings, work: Callable[[Rotation], Awaitable[T]]) -> T:
    async with open_rotation(settings.notifier) as rotation:
        if not await asyncio.to_thread(rotation.is_current):
            raise DatabaseUnusable(
                "the notifier's database has the schema of another version: start the notifier of this version first"
            )
        return await work(rotation)
