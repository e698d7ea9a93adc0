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
from monitors.v1 import rule_service_pb2 as pb

# How many seconds' worth may come at once: a person's agent makes several calls in a row, and then none for long.
BURST_SECONDS = 10
# How many calls a tenant may have open at a process, whatever its tier: others need the places that a server has.
MOST_OPEN = 2_500
# Where a request holds many changes, and how it calls them: each takes about as long as a request of its own.
_MANY = {
    pb.BatchCreateRulesRequest: "rules",
    pb.BatchChangeRulesRequest: "changes",
    pb.ImportAlertsRequest: "alerts",
    pb.AcknowledgeAlertsRequest: "alert_ids",
}


@dataclass(frozen=True)
class RequestQuota(AroundInterceptor):
    """Refuses a call of a tenant that has made too many, or has too many open at this process. A stream counts once, a
    batch as often as it holds changes. As an interceptor it stands inside of Identity."""

    buckets: TokenBuckets
    tiers: Tiers
    _open: Counter[str] = field(default_factory=Counter)
    """How many calls of each tenant go on."""

    @asynccontextmanager
    async def around(self, method: str, context: Context, request: object) -> AsyncIterator[None]:
        if scope_of(method) == ANYBODY:
            yield
            return
        principal = current_principal()
        await self.check(principal, weight_of(request))
        with self._counted(principal):
            yield

    @contextmanager
    def _counted(self, principal: Principal) -> Iterator[None]:
        """Counts a call for as long as it goes on: streams may do so for days. Raises QuotaExceeded."""
        quotas, tenant = self.tiers.of(principal.tier), principal.tenant
        if principal.is_service or not quotas.requests:
            yield
            return
        most = min(quotas.requests * BURST_SECONDS, MOST_OPEN)
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

    async def check(self, principal: Principal, weight: int = 1) -> None:
        """Counts a request of a caller as `weight` of them. Raises QuotaExceeded, which says when to try again."""
        quotas = self.tiers.of(principal.tier)
        if principal.is_service or not quotas.requests:
            return
        rate = quotas.requests
        wait = await self.buckets.take(f"requests:{principal.tenant}", rate, rate * BURST_SECONDS, weight)
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


def weight_of(request: object) -> int:
    """As how many requests one counts: a batch as one for each change, at least as one."""
    field = _MANY.get(type(request))
    return max(1, len(getattr(request, field))) if field else 1
