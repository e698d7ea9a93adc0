"""NotifierService: translates between the contract and the notifier."""

from collections.abc import Callable, Sequence
from typing import Any

import grpc
from google.protobuf.message import Message

from monitors.mesh.audit import Change
from monitors.mesh.audit_pages import event_to_proto, page_size, read_query
from monitors.mesh.audit_table import list_events
from monitors.mesh.database import Database, Session
from monitors.mesh.errors import InvalidField
from monitors.mesh.identity import current_principal, current_tenant
from monitors.mesh.secrets import Sealer
from monitors.mesh.shared import Shared
from monitors.mesh.times import from_timestamp, to_timestamp
from monitors.notifier.address_calls import AddressCalls
from monitors.notifier.answers import Answers
from monitors.notifier.auditing import caller
from monitors.notifier.changes import Changes, Step
from monitors.notifier.clock import Clock
from monitors.notifier.delivery import Dispatcher
from monitors.notifier.intake import Intake
from monitors.notifier.inviting import Inviter
from monitors.notifier.making import ChannelMaker
from monitors.notifier.model.channel import Channel, apply_change, check_etag
from monitors.notifier.model.delivery import State
from monitors.notifier.model.outage import overdue
from monitors.notifier.model.verification import standing_words
from monitors.notifier.once import carry_out, once_of
from monitors.notifier.outage import Outages
from monitors.notifier.pages import list_of, make_token, page_limit, read_token
from monitors.notifier.policies.calls import PolicyCalls
from monitors.notifier.policies.routing import Routing
from monitors.notifier.policies.service import PolicyService
from monitors.notifier.reports import Reporter
from monitors.notifier.store import breakers, escalation_policies, routes
from monitors.notifier.store import log as delivery_log
from monitors.notifier.store.addresses import AddressStore
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.requests import RequestStore
from monitors.notifier.store.tables import audit
from monitors.notifier.translate import (
    from_attempt,
    from_channel,
    from_delivery,
    read_change,
)
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceServicer, add_NotifierServiceServicer_to_server

MOST_RETRIED = 500


class NotifierService(AddressCalls, PolicyService, NotifierServiceServicer):
    """The servicer."""

    def __init__(
        self,
        database: Database,
        channels: ChannelStore,
        addresses: AddressStore,
        requests: RequestStore,
        changes: Changes,
        maker: ChannelMaker,
        dispatcher: Dispatcher,
        reporter: Reporter,
        intake: Intake,
        sealer: Sealer,
        clock: Clock,
        shared: Shared,
        outages: Outages,
        inviter: Inviter,
        answers: Answers,
    ) -> None:
        self._database = database
        self._channels = channels
        self._addresses = addresses
        self._inviter = inviter
        self._answers = answers
        self._requests = requests
        self._changes = changes
        self._maker = maker
        self._dispatcher = dispatcher
        self._reporter = reporter
        self._intake = intake
        self._sealer = sealer
        self._clock = clock
        self._shared = shared
        self._outages = outages
        self._policies = PolicyCalls(database, requests, clock, dispatcher.look)
        self._routing = Routing(database, channels, clock)
        self._started = clock.now()

    def add_to(self, server: grpc.aio.Server) -> str:
        """Adds the servicer to a server and returns the service's full name."""
        add_NotifierServiceServicer_to_server(self, server)
        return "monitors.v1.NotifierService"

    async def CreateChannel(self, request: pb.CreateChannelRequest, context: Any) -> pb.CreateChannelResponse:
        return await self._maker.make(request.channel, once_of(request), current_principal().tier)

    async def GetChannel(self, request: pb.GetChannelRequest, context: Any) -> pb.GetChannelResponse:
        tenant = current_tenant()
        channel = await self._database.read(lambda session: self._channels.get(session, tenant, request.channel_id))
        return pb.GetChannelResponse(channel=from_channel(channel, self._sealer))

    async def ListChannels(self, request: pb.ListChannelsRequest, context: Any) -> pb.ListChannelsResponse:
        tenant, limit = current_tenant(), page_limit(request.page_size)
        position = read_token(request.page_token, list_of(tenant, "channels"), [str])
        after = str(position[0]) if position else ""
        channels = await self._database.read(
            lambda session: self._channels.list_page(session, tenant, after, limit + 1)
        )
        response = pb.ListChannelsResponse(
            channels=[from_channel(channel, self._sealer) for channel in channels[:limit]]
        )
        if len(channels) > limit:
            response.next_page_token = make_token([channels[limit - 1].name], list_of(tenant, "channels"))
        return response

    async def UpdateChannel(self, request: pb.UpdateChannelRequest, context: Any) -> pb.UpdateChannelResponse:
        tenant = current_tenant()
        if not request.channel.id:
            raise InvalidField("channel.id", "empty; send the id of the channel to change, or its name")

        def decide(session: Session) -> Step:
            before = self._channels.get(session, tenant, request.channel.id)
            change = read_change(request, before, self._maker.policy, self._clock.now())
            after = apply_change(before, change, request.channel.etag)
            return Step(before, self._addresses.settled(session, after, before.target))

        changed: list[Channel] = []

        def respond(step: Step) -> bytes:
            changed[:] = [step.after] if step.after else []
            return self._updated(step)

        answer = await self._changes.apply(once_of(request), decide, respond)
        response = pb.UpdateChannelResponse.FromString(answer)
        self._dispatcher.look()
        for channel in changed:
            response.warnings.extend(await self._inviter.invite(channel))
        return response

    def _updated(self, step: Step) -> bytes:
        if step.after is None:
            return b""
        channel, warnings = from_channel(step.after, self._sealer), standing_words(step.after.target, step.after.name)
        return pb.UpdateChannelResponse(channel=channel, warnings=warnings).SerializeToString()

    async def DeleteChannel(self, request: pb.DeleteChannelRequest, context: Any) -> pb.DeleteChannelResponse:
        tenant = current_tenant()

        def decide(session: Session) -> Step:
            before = self._channels.get(session, tenant, request.channel_id)
            check_etag(before, request.etag)
            for policies in (routes, escalation_policies):
                policies.check_unnamed(session, tenant, before.name)
            return Step(before, None)

        answer = await self._changes.apply(once_of(request), decide, self._deleted)
        self._reporter.look()
        return pb.DeleteChannelResponse.FromString(answer)

    def _deleted(self, step: Step) -> bytes:
        channel = from_channel(step.before, self._sealer) if step.before else None
        return pb.DeleteChannelResponse(channel=channel).SerializeToString()

    async def TestChannel(self, request: pb.TestChannelRequest, context: Any) -> pb.TestChannelResponse:
        attempt = await self._changes.test(caller(), request.channel_id)
        return pb.TestChannelResponse(attempt=from_attempt(attempt))

    async def ListDeliveries(self, request: pb.ListDeliveriesRequest, context: Any) -> pb.ListDeliveriesResponse:
        tenant, limit = current_tenant(), page_limit(request.page_size)
        state = _state(request.state)
        query = delivery_log.Query(
            request.alert_id, request.channel, state, request.include_attempts, request.told_with
        )
        position = read_token(request.page_token, list_of(tenant, repr(query)), [int, str])
        before = (int(position[0]), str(position[1])) if position else None
        found = await self._database.read(
            lambda session: delivery_log.list_page(session, tenant, query, before, limit + 1)
        )
        response = pb.ListDeliveriesResponse(deliveries=[from_delivery(delivery) for delivery in found[:limit]])
        if len(found) > limit:
            last = found[limit - 1]
            response.next_page_token = make_token([last.created_at, last.id], list_of(tenant, repr(query)))
        return response

    async def GetDelivery(self, request: pb.GetDeliveryRequest, context: Any) -> pb.GetDeliveryResponse:
        tenant = current_tenant()
        found = await self._database.read(lambda session: delivery_log.get(session, tenant, request.delivery_id))
        return pb.GetDeliveryResponse(delivery=from_delivery(found))

    async def RetryDeliveries(self, request: pb.RetryDeliveriesRequest, context: Any) -> pb.RetryDeliveriesResponse:
        query, since = read_retry(request)

        def retry(session: Session, tenant: str, now: int) -> tuple[pb.RetryDeliveriesResponse, list[Change]]:
            done, skipped = delivery_log.retry_all(session, tenant, query, since, now, MOST_RETRIED)
            answer = pb.RetryDeliveriesResponse(
                retried_count=len(done), skipped_count=skipped, has_more=len(done) == MOST_RETRIED
            )
            changes = [(from_delivery(before), from_delivery(after)) for before, after in done]
            return answer, [Change("delivery", after.id, before, after) for before, after in changes]

        return pb.RetryDeliveriesResponse.FromString(await self._retry(request, retry))

    async def RetryDelivery(self, request: pb.RetryDeliveryRequest, context: Any) -> pb.RetryDeliveryResponse:
        def retry(session: Session, tenant: str, now: int) -> tuple[pb.RetryDeliveryResponse, list[Change]]:
            before, after = map(from_delivery, delivery_log.retry(session, tenant, request.delivery_id, now))
            return pb.RetryDeliveryResponse(delivery=after), [Change("delivery", after.id, before, after)]

        return pb.RetryDeliveryResponse.FromString(await self._retry(request, retry))

    async def _retry(self, request: Any, retry: Callable[[Session, str, int], tuple[Message, list[Change]]]) -> bytes:
        """Makes deliveries due again and returns the answer, or the first answer if this is a repeat."""
        once, now = once_of(request), self._clock.now()
        answer = await carry_out(
            self._database, self._requests, once, now, lambda session: retry(session, once.tenant, now)
        )
        self._dispatcher.look()
        return answer

    async def ListNotifierAuditEvents(
        self, request: pb.ListNotifierAuditEventsRequest, context: Any
    ) -> pb.ListNotifierAuditEventsResponse:
        tenant, size, query = current_tenant(), page_size(request.page_size), read_query(request.query)
        position = read_token(request.page_token, list_of(tenant, repr(query)), [int, str])
        after = (int(position[0]), str(position[1])) if position else None
        found = await self._database.read(lambda session: list_events(session, audit, tenant, query, after, size + 1))
        response = pb.ListNotifierAuditEventsResponse(events=map(event_to_proto, found[:size]))
        if len(found) > size:
            response.next_page_token = make_token(
                [found[size - 1].time, found[size - 1].id], list_of(tenant, repr(query))
            )
        return response

    async def GetNotifierStatus(
        self, request: pb.GetNotifierStatusRequest, context: Any
    ) -> pb.GetNotifierStatusResponse:
        tenant = current_tenant()

        def look(session: Session) -> tuple[delivery_log.Counts, list[Channel], list[str]]:
            failing = breakers.open_channels(session, tenant)
            return delivery_log.count(session, tenant), self._channels.list_all(session, tenant), failing

        counts, channels, failing = await self._database.read(look)
        now = self._clock.now()
        # Of what was given up, the count and the channel say enough.
        outage = self._outages.problem_of(tenant, now) if counts.pending else ""
        allowed = self._dispatcher.beyond_quota(tenant) if counts.pending else ""
        quota = f"{allowed}; what goes beyond waits, and critical alerts go first" if allowed else ""
        known = [self._intake.problem, self._shared.problem, outage, quota, overdue(counts.oldest_due, now)]
        return pb.GetNotifierStatusResponse(
            start_time=to_timestamp(self._started),
            pending_count=counts.pending,
            dead_count=counts.dead,
            suppressed_count=counts.suppressed,
            oldest_due_time=to_timestamp(counts.oldest_due) if counts.oldest_due else None,
            open_breakers=failing,
            problems=_problems(known, channels, failing),
        )


def read_retry(request: pb.RetryDeliveriesRequest) -> tuple[delivery_log.Query, int]:
    """Which deliveries are to be tried again, and since when they were made. Raises InvalidField."""
    state = _state(request.state)
    if state not in (None, State.DEAD, State.SUPPRESSED):
        raise InvalidField("state", f"{state.name} isn't retried; send DEAD, SUPPRESSED, or none for both")
    if not request.HasField("since_time"):
        raise InvalidField("since_time", "is empty; send since when the deliveries to try again were made")
    return delivery_log.Query(request.alert_id, request.channel, state), from_timestamp(request.since_time)


def _state(number: int) -> State | None:
    if number and number not in frozenset(map(int, State)):
        raise InvalidField("state", f"{number} isn't a delivery state; send one of DeliveryState, or none for all")
    return State(number) if number else None


def _problems(known: Sequence[str], channels: Sequence[Channel], failing: Sequence[str]) -> list[str]:
    broken = [
        f"the channel {channel.name!r} {'is turned off' if channel.off_reason else 'tells nobody'}: "
        f"{channel.unusable_reason}"
        for channel in channels
        if channel.unusable_reason
    ]
    left_alone = [
        f"the endpoint of the channel {name!r} keeps failing and is tried now and then; what waits for it isn't lost"
        for name in failing
    ]
    return [*filter(None, known), *broken, *left_alone]
