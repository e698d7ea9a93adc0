"""Tests that use stores by themselves, without a caller to whose tenant a session would be bound."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from monitors.mesh.database import Database, Session
from monitors.mesh.tenancy import crosses_tenants

P = ParamSpec("P")
T = TypeVar("T")


def of_all(work: Callable[P, T]) -> Callable[P, T]:
    """The same, but that it may read and write the rows of all tenants."""
    return crosses_tenants("a test sets its scene, and looks at what came of it")(work)


class OpenDatabase(Database):
    """A database all of whose transactions may touch the rows of all tenants."""

    async def write(
        self, work: Callable[[Session], T], *, repeatable: bool = False, then: Callable[[T], None] | None = None
    ) -> T:
        """As usual."""
        return await super().write(of_all(work), repeatable=repeatable, then=then)

    async def read(self, work: Callable[[Session], T]) -> T:
        """As usual."""
        return await super().read(of_all(work))
