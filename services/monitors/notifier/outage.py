"""Notices when nothing can be delivered any more, says so in the log, and tells the operator another way."""

import asyncio
import logging
from collections.abc import Sequence

from monitors.mesh.masking import Secret
from monitors.notifier.channels.http import post
from monitors.notifier.channels.webhook.render import render
from monitors.notifier.channels.webhook.send import judge
from monitors.notifier.egress import Egress
from monitors.notifier.model.message import Kind, Message, Severity
from monitors.notifier.model.outage import ARRIVED, nothing_since, outage
from monitors.notifier.store.claims import Finished

log = logging.getLogger(__name__)

ATTEMPT_SECONDS = 15.0
DOWN, UP = "No message of the mesh can be delivered", "Messages of the mesh are delivered again"


class Outages:
    """Follows the attempts of this process. `operator` is the URL at which its operator is told, outside the queue and
    all channels, about the mesh as a whole."""

    def __init__(self, egress: Egress, operator: Secret | None) -> None:
        self._egress = egress
        self._operator = operator
        self._of_tenants: dict[str, int] = {}
        self._of_all = 0
        self._is_logged = False
        self._is_told = False
        self._telling: asyncio.Task[None] | None = None

    def note(self, finished: Sequence[Finished]) -> None:
        """Attempts have ended, in this order."""
        for one in finished:
            tenant, kind, ended = one.claim.tenant, one.outcome.kind, one.ended_at
            since = nothing_since(self._of_tenants.pop(tenant, 0), kind, ended)
            if since:
                self._of_tenants[tenant] = since
            self._of_all = nothing_since(self._of_all, kind, ended)
        if finished:
            self._follow(finished[-1].ended_at)

    def problem_of(self, tenant: str, now: int) -> str:
        """What is wrong with a tenant's deliveries as a whole; empty if nothing is."""
        return outage(self._of_tenants.get(tenant, 0), now)

    def _follow(self, now: int) -> None:
        problem = outage(self._of_all, now)
        if problem and not self._is_logged:
            log.error("in the whole mesh %s", problem)
        elif self._is_logged and not self._of_all:
            log.warning("messages are delivered again")
        self._is_logged = bool(self._of_all) and (self._is_logged or bool(problem))
        if self._operator and self._is_logged != self._is_told and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell(self._operator, problem, now, is_down=self._is_logged))

    async def _tell(self, operator: Secret, problem: str, now: int, *, is_down: bool) -> None:
        """One attempt; the next attempt to deliver anything is the occasion for another."""
        message = Message(
            id=f"outage_{now}",
            kind=Kind.NOTICE,
            title=DOWN if is_down else UP,
            severity=Severity.CRITICAL,
            notification_id=f"outage_{now}",
            note=problem,
            event_time=now,
        )
        headers = {"content-type": "application/json", "webhook-id": message.id}
        try:
            async with asyncio.timeout(ATTEMPT_SECONDS):
                outcome = await post(self._egress, operator, render(message), headers, judge)
        except TimeoutError:
            log.warning("the operator's webhook doesn't answer")
            return
        self._is_told = is_down if outcome.kind in ARRIVED else self._is_told
        if outcome.kind not in ARRIVED:
            log.warning("the operator's webhook couldn't be told: %s", outcome.detail)
