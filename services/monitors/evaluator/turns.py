"""How many are served at the same time, of all tenants together and of each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Turns at what is scarce. A tenant's own others wait first, and in nobody's way."""

    def __init__(self, at_once: int, of_tenant: int) -> None:
        self._all = asyncio.Semaphore(at_once)
        self._of_tenant = of_tenant
        self._tenants: dict[str, asyncio.Semaphore] = {}

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """A tenant's turn; waits for it."""
        own = self._tenants.setdefault(tenant, asyncio.Semaphore(self._of_tenant))
        try:
            async with own, self._all:
                yield
        finally:
            if not own.locked():
                self._tenants.pop(tenant, None)
