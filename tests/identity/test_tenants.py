"""Tenants that are seen for the first time, by several processes at once."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from monitors.mesh.database import Database
from monitors.rules.identity.tenants import Tenants
from tests.harness import LoopThread
from tests.servers.backends import server_database_url


@contextmanager
def opened(url: str, count: int) -> Iterator[list[Tenants]]:
    """As many processes' views of one database."""
    databases = [Database(url, name="tenants", migrations="monitors.rules.migrations") for _ in range(count)]
    try:
        yield [Tenants(database) for database in databases]
    finally:
        for database in databases:
            database.close()


def test_who_is_seen_by_several_at_once_becomes_one_tenant(loop_thread: LoopThread, tmp_path: Path) -> None:
    url = server_database_url(tmp_path / "rules.db")
    names = [f"user_{number}" for number in range(30)]
    with opened(url, 3) as views:

        async def meet() -> list[str | None]:
            await asyncio.gather(*(view.ensure(name, "pro") for name in names for view in views))
            return [await view.tier_of(name) for name in names for view in views]

        assert set(loop_thread.run(meet())) == {"pro"}


def test_a_users_new_tier_takes_the_place_of_the_old_one(loop_thread: LoopThread, tmp_path: Path) -> None:
    url = server_database_url(tmp_path / "rules.db")
    with opened(url, 3) as (one, other, late):

        async def change() -> tuple[str | None, str | None]:
            await one.ensure("user_ann", "pro")
            await other.ensure("user_ann", "free")
            return await late.tier_of("user_ann"), await late.tier_of("user_nobody")

        assert loop_thread.run(change()) == ("free", None)
