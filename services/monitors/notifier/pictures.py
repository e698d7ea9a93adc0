"""Pictures of alerts, which RuleService draws: had soon, or done without."""

import asyncio
import logging
import time
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.limits import LocalBuckets
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.picture import Picture, pictured
from monitors.v1.rule_service_pb2 import DrawAlertRequest

if TYPE_CHECKING:
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

AT_ONCE, AT_ONCE_OF_TENANT = 8, 2
"""How many are waited for: in a storm most messages go without, and none waits for the pictures of others."""
PER_SECOND, BURST = 0.5, 10
"""How many a tenant gets: to draw one takes longer than to tell a hundred alerts."""
KEPT, KEPT_SECONDS = 32, 60.0
"""How many are kept for the other channels that tell the same, and for how long."""

_Key = tuple[str, str, int]


class Pictures:
    """Gets pictures. A message waits for one for `seconds` at most; with 0 none are asked for."""

    def __init__(self, rules: "RuleServiceAsyncStub", seconds: float) -> None:
        self._rules = rules
        self._seconds = seconds
        self._buckets = LocalBuckets()
        self._known: dict[_Key, tuple[float, asyncio.Task[Picture | None]]] = {}

    async def of(self, tenant: str, content: Content, most_bytes: int) -> Picture | None:
        """The picture for a message, of at most so many bytes; None if it has none or can't be had at once."""
        message = pictured(content)
        if message is None or not self._seconds:
            return None
        key = (tenant, message.notification_id, most_bytes)
        asked = self._asked(key) or await self._ask(key, message.alert_id)
        if asked is None:
            return None
        # Who tells the same waits for it, too: this one's end mustn't be its end.
        done, _ = await asyncio.wait([asked], timeout=self._seconds)
        return asked.result() if done and not asked.cancelled() else None

    def _asked(self, key: _Key) -> "asyncio.Task[Picture | None] | None":
        """What is or was asked for already."""
        since = time.monotonic() - KEPT_SECONDS
        self._known = {known: entry for known, entry in self._known.items() if entry[0] > since}
        return self._known[key][1] if key in self._known else None

    async def _ask(self, key: _Key, alert_id: str) -> "asyncio.Task[Picture | None] | None":
        tenant, _, most_bytes = key
        awaited = [known[0] for known, (_, task) in self._known.items() if not task.done()]
        if len(awaited) >= AT_ONCE or awaited.count(tenant) >= AT_ONCE_OF_TENANT:
            return None
        if await self._buckets.take(tenant, PER_SECOND, BURST):
            return None
        if len(self._known) >= KEPT:
            # The oldest comes first.
            del self._known[next(iter(self._known))]
        request = DrawAlertRequest(tenant_id=tenant, alert_id=alert_id, max_bytes=most_bytes)
        task = asyncio.create_task(self._fetch(request))
        self._known[key] = time.monotonic(), task
        return task

    async def _fetch(self, request: DrawAlertRequest) -> Picture | None:
        try:
            drawn = await self._rules.DrawAlert(request, timeout=self._seconds)
        except grpc.aio.AioRpcError as error:
            log.info("a message goes without its picture: %s", error.code().name)
            return None
        except Exception:
            log.exception("a message goes without its picture by a fault of ours")
            return None
        return Picture(drawn.chart, drawn.description) if drawn.chart else None
