"""Who would be told of an alert."""

from monitors.mesh.database import Database, Session
from monitors.mesh.errors import InvalidField
from monitors.mesh.identity import current_tenant
from monitors.notifier.clock import Clock
from monitors.notifier.model.delivery import Arrival, Planned, State, plan
from monitors.notifier.model.message import Kind, Severity
from monitors.notifier.model.muting import Mute, mute_of
from monitors.notifier.model.policy import Policy
from monitors.notifier.model.routes import routes_of
from monitors.notifier.policies.routes import show
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.inhibiting import find
from monitors.notifier.store.policy import PolicyStore
from monitors.v1 import notifier_service_pb2 as pb


class Routing:
    """Plans alerts that there aren't."""

    def __init__(self, database: Database, channels: ChannelStore, clock: Clock) -> None:
        self._database = database
        self._channels = channels
        self._policies = PolicyStore()
        self._clock = clock

    async def preview(self, request: pb.PreviewRoutingRequest) -> pb.PreviewRoutingResponse:
        """Says who would be told of an alert now, and by which routes. Raises InvalidField."""
        arrival, now = _arrival(request, current_tenant()), self._clock.now()

        def look(session: Session) -> tuple[Policy, list[Planned], Mute | None]:
            policy = self._policies.of(session, arrival.tenant, now)
            planned = plan(arrival, self._channels.list_all(session, arrival.tenant), policy.routes)
            inhibiting = find(session, arrival.tenant, policy.inhibitions, [arrival])
            return policy, planned, mute_of(arrival.facts, (*policy.mutings, inhibiting), now)

        policy, planned, mute = await self._database.read(look)
        routes = [] if arrival.channels else routes_of(arrival.facts, policy.routes)
        return pb.PreviewRoutingResponse(
            routes=map(show, routes),
            channels=[one.channel_name for one in planned if one.state is State.PENDING],
            problems=[
                one.reason if one.channel is None else f"{one.channel_name}: {one.reason}"
                for one in planned
                if one.reason
            ],
            muted_reason=mute.reason if mute else "",
        )


def _arrival(request: pb.PreviewRoutingRequest, tenant: str) -> Arrival:
    severity = int(request.severity) or int(Severity.MEDIUM)
    if severity not in frozenset(map(int, Severity)):
        raise InvalidField("severity", f"{severity} isn't one; send LOW, MEDIUM, HIGH or CRITICAL")
    return Arrival(
        tenant=tenant,
        notification_id="",
        alert_id="",
        kind=Kind.FIRING,
        severity=severity,
        channels=tuple(request.notify),
        stream_key="",
        sequence=0,
        payload=b"",
        rule_id=request.rule_id,
        monitor_id=request.monitor_id,
        title=request.title,
        labels=dict(request.labels),
    )
