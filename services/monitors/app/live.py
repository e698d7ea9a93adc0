"""The live line of each alert on the terminal of `monitors up`, whatever channels its rule tells."""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.times import now_nanos
from monitors.notifier.channels.console.render import render
from monitors.notifier.translate import message_from_payload
from monitors.v1.alert_pb2 import ALERT_EVENT_KIND_ACKNOWLEDGED, ALERT_EVENT_KIND_FIRING, ALERT_EVENT_KIND_RESOLVED
from monitors.v1.notification_pb2 import Notification
from monitors.v1.rule_service_pb2 import (
    GetRuleRequest,
    ListChannelNamesRequest,
    WatchAlertsRequest,
    WatchAlertsResponse,
)
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

if TYPE_CHECKING:
    # The stubs' type for asyncio exists for type checkers only.
    from monitors.v1.rule_service_pb2_grpc import RuleServiceAsyncStub

log = logging.getLogger(__name__)

PAUSE_SECONDS = 1.0
SHOWN = (ALERT_EVENT_KIND_FIRING, ALERT_EVENT_KIND_RESOLVED, ALERT_EVENT_KIND_ACKNOWLEDGED)


async def print_alerts(channel: grpc.aio.Channel, print_line: Callable[[str], None], closing: asyncio.Event) -> None:
    """Prints a line for each alert that no console channel prints. `channel` carries the local tenant's key."""
    rules = RuleServiceStub(channel)
    while not closing.is_set():
        try:
            async for change in rules.WatchAlerts(WatchAlertsRequest(), wait_for_ready=True):
                if change.event.kind in SHOWN and not await _tells_console(rules, change.alert.rule_id):
                    await asyncio.to_thread(print_line, line_of(change))
        except grpc.aio.AioRpcError as error:
            if not closing.is_set():
                log.warning("alerts can't be followed (%s); trying again", error.code().name)
                await asyncio.sleep(PAUSE_SECONDS)


def line_of(change: WatchAlertsResponse) -> str:
    """The line, as a console channel prints it."""
    event = change.event
    notification = Notification(
        kind=event.kind, alert=change.alert, user=event.user, detail=event.detail, event_time=event.time
    )
    return render(message_from_payload(notification.SerializeToString(), ""), now_nanos())


async def _tells_console(rules: "RuleServiceAsyncStub", rule_id: str) -> bool:
    channels = (await rules.ListChannelNames(ListChannelNamesRequest())).channels
    try:
        told = list((await rules.GetRule(GetRuleRequest(rule_id=rule_id))).rule.notify)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        told = []  # a rule that has been deleted meanwhile: its channels aren't known any more
    return any(one.kind == "console" and (one.name in told if told else one.is_default) for one in channels)
