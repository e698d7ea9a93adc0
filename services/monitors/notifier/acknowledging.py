"""Tells RuleService which notifications were taken over, many at once."""

import asyncio
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.channels import AWAY
from monitors.v1.rule_service_pb2 import AcknowledgeNotificationsRequest

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

GATHER_SECONDS = 0.1
ANSWER_SECONDS = 30.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Acknowledger:
    """Acknowledges what was taken over shortly after it was, and until RuleService has heard it.

    Nothing waits for that but what stands behind it in its stream. What isn't acknowledged in time, or never as the
    notifier ends, comes again and is known then.
    """

    def __init__(self, rules: "RuleServiceAsyncStub") -> None:
        self._rules = rules
        self._taken: dict[str, list[str]] = {}
        self._is_any = asyncio.Event()

    def add(self, lease_token: str, ids: Sequence[str]) -> None:
        """Has notifications acknowledged that are durable here."""
        self._taken.setdefault(lease_token, []).extend(ids)
        self._is_any.set()

    async def run(self) -> None:
        """Acknowledges until it's cancelled."""
        pause = FIRST_PAUSE
        while True:
            await self._is_any.wait()
            # Each transaction of RuleService costs about the same, however many it is for.
            await asyncio.sleep(GATHER_SECONDS)
            try:
                await self._acknowledge_all()
                pause = FIRST_PAUSE
            except Exception as error:
                if not isinstance(error, grpc.aio.AioRpcError):
                    log.exception("notifications can't be acknowledged by a fault of ours; they come again")
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    async def _acknowledge_all(self) -> None:
        self._is_any.clear()
        for token in list(self._taken):
            ids = self._taken.pop(token)
            try:
                await self._rules.AcknowledgeNotifications(
                    AcknowledgeNotificationsRequest(lease_token=token, notification_ids=ids), timeout=ANSWER_SECONDS
                )
            except grpc.aio.AioRpcError as error:
                if error.code() in AWAY:
                    self.add(token, ids)
                    raise
                # It would be refused for ever; the others mustn't wait behind it.
                log.warning("%d notifications can't be acknowledged: %s", len(ids), error.code().name)
