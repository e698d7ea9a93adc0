"""How long deliveries are kept once they have ended: the one way in which they go, but for heartbeats."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.config import NotifierSettings
from monitors.mesh.database import Database
from monitors.mesh.keeping import REST_SECONDS, keep, within
from monitors.mesh.times import MINUTE
from monitors.notifier.clock import Clock
from monitors.notifier.store import past
from monitors.notifier.store.past import Horizon, Past
from monitors.v1.rule_service_pb2 import CheckAlertsRequest

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

PAUSE = 30 * MINUTE
TIMEOUT_SECONDS = 30.0
PROBLEM = "deliveries that have ended can't be deleted; MONITORS_DELIVERY_DAYS=0 keeps all of them"
FindUnfinished = Callable[[str, Sequence[str]], Awaitable[set[str]]]
"""Which of a tenant's alerts are open, or have something that is still to be told."""


class DeliveryKeeper:
    """Forgets deliveries in time."""

    def __init__(
        self, database: Database, rules: "RuleServiceAsyncStub", settings: NotifierSettings, clock: Clock
    ) -> None:
        self._database = database
        self._rules = rules
        self._ended, self._dead = settings.deliveries_kept, settings.dead_kept
        self._clock = clock
        self.on_forgotten: list[Callable[[int], None]] = []
        """Called with how many deliveries were deleted."""

    async def run(self) -> None:
        """Forgets from time to time until it's cancelled; nothing at all if all are kept for ever."""
        if self._ended or self._dead:
            await keep(self._forget, PAUSE, PROBLEM)

    async def _forget(self) -> None:
        now = self._clock.now()
        horizon = Horizon(ended=now - self._ended if self._ended else 0, dead=now - self._dead if self._dead else 0)
        try:
            await forget_ended(self._database, horizon, self._find_unfinished, self.on_forgotten)
        except grpc.aio.AioRpcError as error:
            code = error.code().name
            log.warning("the rules service doesn't say which alerts are over (%s): their deliveries stay for now", code)

    async def _find_unfinished(self, tenant: str, alert_ids: Sequence[str]) -> set[str]:
        request = CheckAlertsRequest(tenant_id=tenant, alert_ids=alert_ids)
        answer = await self._rules.CheckAlerts(request, timeout=TIMEOUT_SECONDS, wait_for_ready=True)
        return set(answer.unfinished_ids)


async def forget_ended(
    database: Database,
    horizon: Horizon,
    find_unfinished: FindUnfinished,
    noted: Sequence[Callable[[int], None]] = (),
    rest: float = REST_SECONDS,
) -> None:
    """Forgets the deliveries that ended before the horizon: tenant by tenant, a few in each transaction, with rests of
    so many seconds in between."""
    for tenant in await database.read(past.tenants_with_deliveries):
        last = past.FIRST
        while found := await database.read(within(tenant, past.past_deliveries, horizon, last)):
            last = found[-1]
            alone, alerts = _told_apart(found)
            over = set(alerts) - (await find_unfinished(tenant, alerts) if alerts else set())
            if alone or over:
                work = within(tenant, past.forget, horizon, alone, over)
                count = await database.write(work, repeatable=True)
                for note in noted:
                    note(count)
            await asyncio.sleep(rest)


def _told_apart(found: Sequence[Past]) -> tuple[list[str], list[str]]:
    """The ids of those that go by themselves, and of the alerts of the others."""
    alone = [one.id for one in found if one.is_alone]
    return alone, sorted({one.alert_id for one in found if not one.is_alone})
