"""Tells RuleService what became of deliveries, so that an alert can show it."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.channels import AWAY
from monitors.mesh.database import Database
from monitors.notifier.store import log as delivery_log
from monitors.notifier.store.log import Delivery
from monitors.notifier.translate import to_report
from monitors.v1.rule_service_pb2 import ReportDeliveriesRequest

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

BATCH = 1000
"""As many as RuleService takes at once."""
GATHER_SECONDS = 0.25
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0


class Reporter:
    """Reports what has changed, and after an outage everything that hasn't been reported."""

    def __init__(self, database: Database, rules: "RuleServiceAsyncStub") -> None:
        self._database = database
        self._rules = rules
        self._changed = asyncio.Event()
        self._changed.set()

    def look(self) -> None:
        """Something has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Reports until it's cancelled."""
        pause = FIRST_PAUSE
        while True:
            await self._changed.wait()
            # The messages themselves go first, and together the reports cost less.
            await asyncio.sleep(GATHER_SECONDS)
            self._changed.clear()
            try:
                while await self._report_some():
                    pause = FIRST_PAUSE
            except Exception as error:
                if not isinstance(error, grpc.aio.AioRpcError):
                    log.exception("deliveries can't be reported; trying again")
                self._changed.set()
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _report_some(self) -> bool:
        deliveries = await self._database.read(lambda session: delivery_log.unreported(session, BATCH))
        if deliveries:
            await self._report(deliveries)
            await self._database.write(lambda session: delivery_log.mark_reported(session, deliveries), repeatable=True)
        return len(deliveries) == BATCH

    async def _report(self, deliveries: Sequence[Delivery]) -> None:
        request = ReportDeliveriesRequest(reports=[to_report(delivery) for delivery in deliveries])
        try:
            await self._rules.ReportDeliveries(request)
        except grpc.aio.AioRpcError as error:
            if error.code() in AWAY:
                raise
            # A report that is refused would be refused for ever; the others mustn't wait behind it.
            if len(deliveries) > 1:
                for delivery in deliveries:
                    await self._report([delivery])
            else:
                log.warning("the report of %s was refused: %s", deliveries[0].id, error.code().name)
