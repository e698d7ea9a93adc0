"""Bounds how many requests a tenant makes, to all services together."""

import math
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from monitors.mesh.identity import Principal, current_principal
from monitors.mesh.interceptors import AroundInterceptor, Context
from monitors.mesh.limits import TokenBuckets
from monitors.mesh.quotas import Tiers
from monitors.mesh.scopes import ANYBODY, scope_of

# How many seconds' worth may come at once: a person's agent makes several calls in a row, and then none for long.
BURST_SECONDS = 10


@dataclass(frozen=True)
class RequestQuota(AroundInterceptor):
    """Refuses a call of a tenant that has made too many, or has too many open at this process. A stream counts once. As
    an interceptor it stands inside of Identity."""

    buckets: TokenBuckets
    tiers: Tiers
    _open: Counter[str] = field(default_factory=Counter)
    """How many calls of each tenant go on."""

    @asynccontextmanager
    async def around(self, method: str, context: Context) -> AsyncIterator[None]:
        if scope_of(method) == ANYBODY:
            yield
            return
        principal = current_principal()
        await self.check(principal)
        with self._counted(principal):
            yield

    @contextmanager
    def _counted(self, principal: Principal) -> Iterator[None]:
        """Counts a call for as long as it goes on: streams may do so for days. Raises QuotaExceeded."""
        quotas, tenant = self.tiers.of(principal.tier), principal.tenant
        if principal.is_service or not quotas.requests:
            yield
            return
        most = quotas.requests * BURST_SECONDS
        if self._open[tenant] >= most:
            raise quotas.exceeded(
                "requests",
                str(most),
                f"there are {most:,} calls open, as many as the tier {quotas.tier!r} may have at once; end those that "
                "aren't needed, such as streams, before you make others",
                BURST_SECONDS,
            )
        self._open[tenant] += 1
        try:
            yield
        finally:
            self._open[tenant] -= 1
            if not self._open[tenant]:
                del self._open[tenant]

    async def check(self, principal: Principal) -> None:
        """Counts a request of a caller. Raises QuotaExceeded, which says when to try again."""
        quotas = self.tiers.of(principal.tier)
        if principal.is_service or not quotas.requests:
            return
        rate = quotas.requests
        wait = await self.buckets.take(f"requests:{principal.tenant}", rate, rate * BURST_SECONDS)
        if wait:
            # Rounded up: who comes when they were told to is let through.
            wait = math.ceil(wait * 100) / 100
            raise quotas.exceeded(
                "requests",
                str(rate),
                f"there are more requests than the {rate:,} a second that the tier {quotas.tier!r} allows; try again "
                f"in {wait:g} s, and make fewer calls",
                wait,
            )
