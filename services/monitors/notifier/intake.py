"""Takes notifications over from RuleService, for as long as the notifier runs."""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.channels import evaluator_id, failure_of
from monitors.mesh.database import storage_error
from monitors.mesh.errors import ServiceUnavailable
from monitors.mesh.spans import is_traced
from monitors.notifier.acknowledging import Acknowledger
from monitors.notifier.delivery import Dispatcher
from monitors.notifier.mirror import Mirror
from monitors.notifier.spans import taking_in
from monitors.notifier.translate import to_arrival
from monitors.v1.mesh_pb2 import ChannelPage
from monitors.v1.notification_pb2 import Notification
from monitors.v1.rule_service_pb2 import LeaseNotificationsRequest, LeaseNotificationsResponse

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

# RuleService gives a sign of life every 10 seconds.
SILENCE_SECONDS = 30.0
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Intake:
    """Follows the stream of notifications."""

    def __init__(
        self,
        rules: "RuleServiceAsyncStub",
        dispatcher: Dispatcher,
        mirror: Mirror,
        closing: asyncio.Event,
        page: ChannelPage,
    ) -> None:
        self._rules = rules
        self._page = page
        self._dispatcher = dispatcher
        self._mirror = mirror
        self._acknowledger = Acknowledger(rules)
        self._closing = closing
        self._is_traced = is_traced()
        self._pause = FIRST_PAUSE
        self._away = ""
        self._fault = ""

    @property
    def problem(self) -> str:
        """Why nothing is taken in; empty if nothing is wrong."""
        return self._fault or self._away

    async def run(self) -> None:
        """Follows the stream until it's cancelled, and opens it again whenever it breaks."""
        acknowledging = asyncio.create_task(self._acknowledger.run())
        try:
            await self._follow_on()
        finally:
            acknowledging.cancel()

    async def _follow_on(self) -> None:
        while True:
            try:
                await self._follow()
            except (grpc.aio.AioRpcError, ServiceUnavailable, TimeoutError) as error:
                # The mirror's errors are written for people's calls, and have what failed as their cause.
                failed = error.__cause__ if isinstance(error, ServiceUnavailable) else error
                self._tell_problem(failure_of(failed) if isinstance(failed, grpc.aio.AioRpcError) else "no answer")
            except Exception as error:
                self._tell_fault(error)
            await asyncio.sleep(self._pause)
            self._pause = min(self._pause * 2, LONGEST_PAUSE)

    def _tell_problem(self, failure: str) -> None:
        if not self._away and not self._closing.is_set():
            log.warning(
                "nothing comes from the rules service (%s); trying again. If that lasts, look whether it runs and "
                "MONITORS_RULES_ADDRESS is right", failure,
            )  # fmt: skip
        self._away = f"nothing comes from the rules service ({failure}); what has happened since is told when it does"

    def _tell_fault(self, error: Exception) -> None:
        known = storage_error(error)
        if known is None:
            log.error("notifications can't be taken in; trying again", exc_info=error)
        elif not self._fault:
            log.warning("notifications can't be taken in; trying again: %s", known.message)
        why = known.message if known else "the notifier's log explains why"
        self._fault = f"notifications can't be taken in: {why}"

    async def _follow(self) -> None:
        # RuleService may have been set up anew while it was away.
        await self._mirror.publish_all()
        call = self._rules.LeaseNotifications(
            LeaseNotificationsRequest(notifier_id=evaluator_id(), channel_page=self._page), wait_for_ready=True
        )
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    response = await call.read()
                if not isinstance(response, LeaseNotificationsResponse):
                    return  # the end of the stream
                self._away = ""
                if response.notifications:
                    await self._take(response.notifications, response.lease_token)
                    self._fault = ""
                if not self._fault:
                    self._pause = FIRST_PAUSE
        finally:
            call.cancel()

    async def _take(self, notifications: Sequence[Notification], lease_token: str) -> None:
        with taking_in(notifications) if self._is_traced else nullcontext():
            arrivals = [arrival for one in notifications if (arrival := to_arrival(one)) is not None]
            await self._dispatcher.take_in(arrivals)
        self._acknowledger.add(lease_token, [notification.id for notification in notifications])
