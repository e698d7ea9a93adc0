"""What the owners of addresses answer: that alerts may come to them, by a code or a link, or that none may any more."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from monitors.mesh.audit import Change, Source
from monitors.mesh.database import Database, Session
from monitors.mesh.errors import InvalidField, MeshError, NotFound, WrongState
from monitors.mesh.secrets import Sealer
from monitors.mesh.tenancy import of_tenant
from monitors.notifier.auditing import Actor, audited
from monitors.notifier.clock import Clock
from monitors.notifier.mail_links import MailLink, mark
from monitors.notifier.model.channel import Channel, mail_target
from monitors.notifier.model.delivery import Planned, State
from monitors.notifier.model.notices import has_unsubscribed, listeners
from monitors.notifier.model.targets import EmailTarget
from monitors.notifier.model.verification import read_code, with_unsubscribed, with_verified
from monitors.notifier.store import arriving, repeats
from monitors.notifier.store.addresses import AddressStore
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.queue import Queue
from monitors.notifier.translate import from_channel, notice_to_arrival

RECIPIENT = "the recipient"
"""The user of what somebody does by a link in a mail."""
SOURCE = Source(client="mail link")


@dataclass(frozen=True)
class Found:
    """What a link is about."""

    channel: Channel
    target: EmailTarget
    address: str


class Answers:
    """Does what they answer. `look` is called when something may have become due, `tell` when a channel has changed."""

    def __init__(
        self,
        database: Database,
        channels: ChannelStore,
        addresses: AddressStore,
        queue: Queue,
        sealer: Sealer,
        clock: Clock,
        look: Callable[[], None],
        tell: Callable[[], None],
    ) -> None:
        self._database = database
        self._channels = channels
        self._addresses = addresses
        self._queue = queue
        self._sealer = sealer
        self._clock = clock
        self._look = look
        self._tell = tell

    async def enter(self, actor: Actor, id_or_name: str, text: str) -> Channel:
        """Takes a code that somebody enters for a channel, and gives the channel. If nothing of it waits, nothing is
        done. Raises NotFound, InvalidField (also if it isn't of e-mail) and WrongState."""
        now, code = self._clock.now(), read_code(text)

        def work(session: Session) -> tuple[tuple[Channel, MeshError | None], list[Change]]:
            self._channels.lock(session, actor.tenant)
            channel = self._channels.get(session, actor.tenant, id_or_name)
            target = mail_target(channel)
            if not target.waiting:
                return (channel, None), []
            standings = [self._addresses.get(session, actor.tenant, one) for one in target.waiting]
            if not any(one.awaits(now) for one in standings):
                return (channel, _over(channel)), []
            address = self._addresses.find(session, actor.tenant, target.waiting, code, now)
            if address is None:
                return (channel, _wrong(channel)), []
            changes = self._confirm(session, actor.tenant, address, now)
            return (self._channels.get(session, actor.tenant, channel.id), None), changes

        channel, error = await audited(self._database, actor, "VerifyChannel", now, work)
        if error:
            raise error
        self._look()
        self._tell()
        return channel

    async def confirm(self, link: MailLink) -> bool:
        """Verifies the address of a link. Gives whether it was; not if the link was used or its time is over."""
        now = self._clock.now()

        def work(session: Session) -> tuple[bool, list[Change]]:
            self._channels.lock(session, link.tenant)
            address = self._confirmable(session, link, now)
            return address is not None, self._confirm(session, link.tenant, address, now) if address else []

        is_done = await audited(self._database, Actor(link.tenant, RECIPIENT, SOURCE), "VerifyChannel", now, work)
        self._look()
        self._tell()
        return is_done

    async def find(self, link: MailLink, *, to_confirm: bool) -> Found | None:
        """The channel and the address that a link is about, if something can still be done by it."""
        now = self._clock.now()

        def look(session: Session) -> Found | None:
            with of_tenant(session, link.tenant):
                found = self._find(session, link)
                if found is None or (to_confirm and self._confirmable(session, link, now) is None):
                    return None
                return found

        return await self._database.read(look)

    def _find(self, session: Session, link: MailLink) -> Found | None:
        try:
            channel = self._channels.get(session, link.tenant, link.channel_id)
        except NotFound:
            return None
        target = channel.target
        if not isinstance(target, EmailTarget):
            return None
        known = (one for one in target.addresses if mark(self._sealer, link.tenant, one) == link.mark)
        address = next(known, None)
        return None if address is None else Found(channel, target, address)

    def _confirmable(self, session: Session, link: MailLink, now: int) -> str | None:
        found = self._find(session, link)
        if found is None:
            return None
        standing = self._addresses.get(session, link.tenant, found.address)
        return found.address if standing.awaits(now) and standing.code_id == link.code_id else None

    def _confirm(self, session: Session, tenant: str, address: str, now: int) -> list[Change]:
        """An address is verified, for all channels of the tenant in which it waits."""
        standing = self._addresses.get(session, tenant, address)
        self._addresses.put(session, tenant, address, standing.verified(now))
        changes = []
        for channel in self._channels.list_all(session, tenant):
            if not isinstance(channel.target, EmailTarget):
                continue
            target = with_verified(channel.target, address)
            if target != channel.target:
                changes.append(self._change(session, channel, target))
        repeats.look_again(session, tenant, now)
        return changes

    def _change(self, session: Session, channel: Channel, target: EmailTarget) -> Change:
        changed = replace(channel, target=target, revision=channel.revision + 1)
        self._channels.update(session, changed)
        before, after = from_channel(channel, self._sealer), from_channel(changed, self._sealer)
        return Change("channel", channel.id, before, after)

    async def unsubscribe(self, link: MailLink) -> None:
        """Nothing more goes from the link's channel to its address. Another channel tells its owner."""
        now = self._clock.now()

        def work(session: Session) -> tuple[None, list[Change]]:
            self._channels.lock(session, link.tenant)
            found = self._find(session, link)
            if found is None:
                return None, []
            channel, address = found.channel, found.address
            target = with_unsubscribed(found.target, address)
            if target == found.target:
                return None, []
            standing = self._addresses.get(session, link.tenant, address)
            self._addresses.put(session, link.tenant, address, standing.unsubscribed(now))
            change = self._change(session, channel, target)
            self._tell_of_it(session, channel.id, link.tenant, address, now)
            return None, [change]

        await audited(self._database, Actor(link.tenant, RECIPIENT, SOURCE), "UnsubscribeAddress", now, work)
        self._look()
        self._tell()

    def _tell_of_it(self, session: Session, channel_id: str, tenant: str, address: str, now: int) -> None:
        channel = self._channels.get(session, tenant, channel_id)
        if channel.unusable_reason:
            self._queue.suppress_waiting(session, tenant, channel_id, channel.suppression, now)
        others = listeners(self._channels.list_all(session, tenant), channel_id)
        planned = [Planned(each.name, each, State.PENDING) for each in others]
        notice = has_unsubscribed(channel, address)
        arriving.insert_once(session, notice_to_arrival(now, notice), planned, now)


def _wrong(channel: Channel) -> InvalidField:
    return InvalidField(
        "code",
        "it isn't the code of an address that waits; it has 8 letters and digits, such as `k7qf-2m9x`. Five wrong ones "
        f"make it void, and `monitors channels verify {channel.name} --again` mails another",
    )


def _over(channel: Channel) -> WrongState:
    return WrongState(
        f"no code of the channel {channel.name!r} is valid any more: a day is over, or five codes were wrong; "
        f"`monitors channels verify {channel.name} --again` mails another",
        metadata={"state": "expired"},
    )
