"""How a channel is made, whether by CreateChannel or on the page: the same checks, and the same answer."""

from monitors.mesh.database import Session
from monitors.mesh.errors import InvalidField, InvalidFields
from monitors.mesh.ids import new_id
from monitors.mesh.quotas import Tiers
from monitors.mesh.secrets import Sealer
from monitors.mesh.times import from_duration
from monitors.notifier.changes import Changes, Step
from monitors.notifier.clock import Clock
from monitors.notifier.groupings import read_grouping
from monitors.notifier.inviting import Inviter
from monitors.notifier.model.channel import Channel, check_fits, check_name, check_template
from monitors.notifier.model.checks import Policy
from monitors.notifier.model.grouping import Grouping
from monitors.notifier.model.heartbeats import check_heartbeat
from monitors.notifier.model.targets import Target, WebhookTarget
from monitors.notifier.once import Once
from monitors.notifier.store.addresses import AddressStore
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.translate import TEMPLATES, from_channel, read_target, warn
from monitors.v1 import notification_pb2
from monitors.v1 import notifier_service_pb2 as pb


class ChannelMaker:
    """Makes channels."""

    def __init__(
        self,
        changes: Changes,
        channels: ChannelStore,
        addresses: AddressStore,
        inviter: Inviter,
        sealer: Sealer,
        policy: Policy,
        tiers: Tiers,
        clock: Clock,
    ) -> None:
        self.policy = policy
        self._tiers = tiers
        self._changes = changes
        self._channels = channels
        self._addresses = addresses
        self._inviter = inviter
        self._sealer = sealer
        self._clock = clock

    async def make(self, sent: notification_pb2.Channel, once: Once, tier: str) -> pb.CreateChannelResponse:
        """Makes a channel for a tenant of a tier, or answers what a request of this `once` was answered. Raises
        InvalidFields, AlreadyExists, QuotaExceeded, RequestIdReused and ServiceUnavailable."""
        channel = self._draft(sent, once.tenant)
        made: list[Channel] = []

        def decide(session: Session) -> Step:
            self._channels.check_free(session, channel.tenant, channel.name)
            return Step(None, self._addresses.settled(session, channel))

        def respond(step: Step) -> bytes:
            settled = step.after or channel
            made[:] = [settled]
            target = settled.target
            # Whoever has given a secret has it: it's told only if it was made.
            is_own = isinstance(target, WebhookTarget) and not sent.webhook.secret
            return pb.CreateChannelResponse(
                channel=from_channel(settled, self._sealer),
                webhook_secret=target.secret.reveal() if isinstance(target, WebhookTarget) and is_own else "",
                warnings=warn(settled),
            ).SerializeToString()

        answer = await self._changes.apply(once, decide, respond, self._tiers.of(tier))
        response = pb.CreateChannelResponse.FromString(answer)
        if made:
            # A repeat is answered as the first request was, and mails nothing.
            response.warnings.extend(await self._inviter.invite(made[0]))
        return response

    def _draft(self, sent: notification_pb2.Channel, tenant: str) -> Channel:
        errors: list[InvalidField] = []
        target: Target | None = None
        try:
            check_name(sent.name)
        except InvalidField as error:
            errors.append(error)
        try:
            target = read_target(sent, self.policy)
        except InvalidField as error:
            errors.append(error)
        try:
            heartbeat = check_heartbeat(from_duration(sent.heartbeat_interval))
        except InvalidField as error:
            errors.append(error)
        for field in TEMPLATES:
            try:
                check_template(sent.WhichOneof("kind") or "", field, getattr(sent, field))
            except InvalidField as error:
                errors.append(error)
        grouping: Grouping | None = None
        try:
            if sent.HasField("grouping"):
                grouping = read_grouping(sent.grouping, sent.WhichOneof("kind") or "")
        except InvalidField as error:
            errors.append(error)
        if errors or target is None:
            raise InvalidFields.of(errors)
        channel = Channel(
            tenant=tenant,
            id=new_id("chan"),
            name=sent.name,
            target=target,
            is_default=sent.is_default,
            send_resolved=sent.send_resolved if sent.HasField("send_resolved") else True,
            create_time=self._clock.now(),
            heartbeat_interval=heartbeat,
            own_grouping=grouping,
            title_template=sent.title_template,
            body_template=sent.body_template,
        )
        check_fits(channel)
        return channel
