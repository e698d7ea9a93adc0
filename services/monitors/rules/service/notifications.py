"""RuleService for the notifier: the outbox, what became of messages, and the channels' names."""

import secrets
from collections.abc import AsyncIterator
from typing import Any

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField
from monitors.mesh.keeping import within
from monitors.mesh.tenancy import of_tenant
from monitors.rules.model.alert import Delivery
from monitors.rules.model.channels import ChannelState, KnownChannel
from monitors.rules.model.rule import check_line
from monitors.rules.service.base import Part
from monitors.rules.service.pump import Pump, give_back
from monitors.rules.store import deliveries, monitors, outbox, past, shards
from monitors.rules.translate.alerts import delivery_from_proto
from monitors.rules.translate.channels import state_from_proto
from monitors.v1 import rule_service_pb2 as pb

MOST_REPORTS = 1000
MOST_CHANNELS = 1000
MOST_CHECKED = 1000


class NotifierCalls(Part):
    """What the notifier needs."""

    async def LeaseNotifications(
        self, request: pb.LeaseNotificationsRequest, context: Any
    ) -> AsyncIterator[pb.LeaseNotificationsResponse]:
        """Notifications as they come due."""
        token = f"lease_{secrets.token_hex(16)}"
        if request.channel_page.url:
            self.core.channel_pages[token] = request.channel_page
        try:
            with self.core.outlets.opened(token) as outlet:
                pump = Pump(self.core, outlet)
                changes = [self.core.outbox_changed, outlet.arrived]
                async for message in self.follow(changes, pump.look, pb.LeaseNotificationsResponse(), pump.wait):
                    yield message
        finally:
            self.core.channel_pages.pop(token, None)
            await give_back(self.core, token)

    async def AcknowledgeNotifications(
        self, request: pb.AcknowledgeNotificationsRequest, context: Any
    ) -> pb.AcknowledgeNotificationsResponse:
        """Marks notifications as the notifier's own."""
        if not request.lease_token:
            raise InvalidField("lease_token", "is empty; send it as it came with the notifications")
        ids = list(request.notification_ids)
        taken = await self.core.database.write(
            lambda session: outbox.take_over(session, request.lease_token, ids), repeatable=True
        )
        if taken:
            self.core.outbox_changed.announce()
        return pb.AcknowledgeNotificationsResponse()

    async def ReportDeliveries(self, request: pb.ReportDeliveriesRequest, context: Any) -> pb.ReportDeliveriesResponse:
        """Records what became of notifications."""
        if len(request.reports) > MOST_REPORTS:
            raise InvalidField("reports", f"there are {len(request.reports):,}; at most {MOST_REPORTS:,}")
        by_tenant: dict[str, list[tuple[str, Delivery]]] = {}
        for number, report in enumerate(request.reports):
            place = f"reports[{number}].tenant_id"
            for error in check_line(place, report.tenant_id, 40, "send the tenant that the delivery belongs to"):
                raise error
            delivery = delivery_from_proto(report.delivery)
            by_tenant.setdefault(report.tenant_id, []).append((report.alert_id, delivery))

        def work(session: Session) -> None:
            for tenant, reports in by_tenant.items():
                with of_tenant(session, tenant):
                    deliveries.save_deliveries(session, tenant, reports)

        await self.core.database.write(work, repeatable=True)
        return pb.ReportDeliveriesResponse()

    async def CheckEvaluation(self, request: pb.CheckEvaluationRequest, context: Any) -> pb.CheckEvaluationResponse:
        """Whether all rules are being evaluated."""
        now = self.core.database.now()
        problem = await self.core.database.read(lambda session: shards.check_evaluation(session, now))
        return pb.CheckEvaluationResponse(problem=problem)

    async def CheckAlerts(self, request: pb.CheckAlertsRequest, context: Any) -> pb.CheckAlertsResponse:
        """Which alerts aren't over and told."""
        for error in check_line("tenant_id", request.tenant_id, 40, "send the tenant that the alerts belong to"):
            raise error
        if len(request.alert_ids) > MOST_CHECKED:
            raise InvalidField("alert_ids", f"there are {len(request.alert_ids):,}; at most {MOST_CHECKED:,}")
        ids = list(dict.fromkeys(request.alert_ids))
        found = await self.core.database.read(within(request.tenant_id, past.unfinished, ids))
        return pb.CheckAlertsResponse(unfinished_ids=sorted(found))

    async def MirrorChannels(self, request: pb.MirrorChannelsRequest, context: Any) -> pb.MirrorChannelsResponse:
        """Records a tenant's channels."""
        for error in check_line("tenant_id", request.tenant_id, 40, "send the tenant that the channels belong to"):
            raise error
        if len(request.channels) > MOST_CHANNELS:
            raise InvalidField("channels", f"there are {len(request.channels):,}; at most {MOST_CHANNELS:,}")
        channels: dict[str, KnownChannel] = {}
        unsaid: set[str] = set()
        for number, each in enumerate(request.channels):
            for error in check_line(f"channels[{number}].name", each.name, 64, "send the channel's name"):
                raise error
            state = state_from_proto(each.state)
            channels[each.name] = KnownChannel(
                each.name, each.kind[:40], each.is_default, ChannelState.WORKS if state is None else state
            )
            if state is None:
                unsaid.add(each.name)

        def replace(session: Session) -> None:
            with of_tenant(session, request.tenant_id):
                monitors.replace_channels(session, request.tenant_id, channels.values(), unsaid)

        await self.core.database.write(replace, repeatable=True)
        return pb.MirrorChannelsResponse()
