"""RuleService: monitors and the names of channels."""

import json
from typing import Any

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField
from monitors.mesh.identity import current_tenant
from monitors.mesh.quotas import LARGEST
from monitors.rules.model.pages import page_size, read_token, write_token
from monitors.rules.model.quantities import shown
from monitors.rules.model.rule import check_line
from monitors.rules.service.base import Caller, Part, fitting
from monitors.rules.service.evaluator import series_of
from monitors.rules.store import monitors as store
from monitors.rules.translate.channels import channel_to_proto
from monitors.rules.translate.monitors import field_from_proto, monitor_to_proto
from monitors.v1 import monitor_pb2
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.evaluator_service_pb2 import SeriesInfo

MOST_FIELDS = 1000
MOST_KNOWN = 250_000
"""How many monitors and fields may be known of a tenant for it to add others by itself. An evaluator takes 100,000
series of one."""


class MonitorCalls(Part):
    """What can be watched, and whom one can tell."""

    async def RegisterMonitor(self, request: pb.RegisterMonitorRequest, context: Any) -> pb.RegisterMonitorResponse:
        """Makes a monitor known."""
        for error in check_line("monitor_id", request.monitor_id, 256, "send the monitor's id, such as `mon_host`"):
            raise error
        if "*" in request.monitor_id:
            raise InvalidField(
                "monitor_id", f"{shown(request.monitor_id)} has a `*`, which stands for several monitors"
            )
        if len(request.fields) > MOST_FIELDS:
            raise InvalidField("fields", f"there are {len(request.fields):,}; at most {MOST_FIELDS:,}")
        seen = [
            store.Seen(
                request.monitor_id, field_from_proto(each.measurement, each.field, each.type, f"fields[{number}]")
            )
            for number, each in enumerate(request.fields)
        ]

        def work(session: Session, who: Caller) -> pb.RegisterMonitorResponse:
            before = store.find_monitor(session, who.tenant, request.monitor_id)
            store.remember(session, who.tenant, [request.monitor_id], seen, who.now)
            after = store.find_monitor(session, who.tenant, request.monitor_id)
            old, new = (monitor_to_proto(each, ()) if each else None for each in (before, after))
            if old != new:
                _check_room(session, who)
            who.changed("monitor", request.monitor_id, old, new)
            return pb.RegisterMonitorResponse(monitor=new)

        return await self.change("RegisterMonitor", request, pb.RegisterMonitorResponse, work)

    async def ListMonitors(self, request: pb.ListMonitorsRequest, context: Any) -> pb.ListMonitorsResponse:
        """A page of monitors, with their newest values where the evaluator can be asked."""
        tenant, size = current_tenant(), page_size(request.page_size)
        query = json.dumps(["ListMonitors", tenant, request.query])
        after = read_token(request.page_token, query)
        found, total = await self.core.database.read(
            lambda session: store.list_monitors(session, tenant, request.query, after[1] if after else "", size + 1)
        )
        series = await series_of(self.core.evaluator, tenant, [each.id for each in found[:size]])
        by_monitor: dict[str, list[SeriesInfo]] = {}
        for info in series or ():
            by_monitor.setdefault(info.key.monitor_id, []).append(info)
        messages = [monitor_to_proto(each, by_monitor.get(each.id, ())) for each in found[:size]]
        page = fitting(messages, monitor_pb2.Monitor.ByteSize)
        response = pb.ListMonitorsResponse(monitors=page, total_count=total)
        if len(page) < len(found):
            response.next_page_token = write_token(query, (0, page[-1].id))
        return response

    async def ListChannelNames(self, request: pb.ListChannelNamesRequest, context: Any) -> pb.ListChannelNamesResponse:
        """The channels that rules can tell."""
        tenant = current_tenant()
        channels = await self.core.database.read(lambda session: store.list_channels(session, tenant))
        return pb.ListChannelNamesResponse(channels=[channel_to_proto(each) for each in channels])


def _check_room(session: Session, who: Caller) -> None:
    """Raises QuotaExceeded if the tenant has made too much known."""
    if who.quotas.rules < LARGEST and store.count_known(session, who.tenant) > MOST_KNOWN:
        raise who.quotas.exceeded(
            "monitors",
            str(MOST_KNOWN),
            f"there would be more than {MOST_KNOWN:,} monitors and fields; make known only what rules need before it "
            "reports for the first time",
        )
