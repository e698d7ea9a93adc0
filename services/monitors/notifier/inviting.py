"""Asks the owners of addresses whether alerts may come to them, with a code that is mailed to each.

Nobody can be pestered: a tenant has few mails an hour for all its addresses, few a day for each, and all tenants
together have few a day for one mailbox. That others have written to a mailbox, no tenant learns: then simply no mail
goes out, and the answer has said from the beginning that this may be.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from monitors.mesh.audit import Change
from monitors.mesh.database import Database, Session, storage_error
from monitors.mesh.errors import MeshError, QuotaExceeded
from monitors.mesh.limits import TokenBuckets
from monitors.mesh.secrets import Sealer
from monitors.mesh.tenancy import of_tenant
from monitors.mesh.times import DAY, HOUR, SECOND
from monitors.notifier.auditing import Actor, audited
from monitors.notifier.channels.email.letters import Letter
from monitors.notifier.channels.email.send import Post
from monitors.notifier.channels.email.verification import render
from monitors.notifier.clock import Clock
from monitors.notifier.model.channel import Channel, mail_target
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.targets import EmailTarget
from monitors.notifier.model.verification import CODE_LIFETIME
from monitors.notifier.store.addresses import AddressStore
from monitors.notifier.store.channels import ChannelStore

log = logging.getLogger(__name__)

MAILS_AN_HOUR = 60
"""How many codes a tenant has mailed."""
MAILS_TO_ONE = 10
"""How many codes a mailbox gets a day, of all tenants together."""
AT_ONCE = 4
SEND_SECONDS = 8.0
ARRIVED = (OutcomeKind.OK, OutcomeKind.ACCEPTED)


@dataclass(frozen=True)
class Code:
    """A code that is to be mailed."""

    address: str
    id: str
    text: str = field(repr=False)


class Inviter:
    """Makes codes and mails them."""

    def __init__(
        self,
        database: Database,
        channels: ChannelStore,
        addresses: AddressStore,
        post: Post,
        buckets: TokenBuckets,
        sealer: Sealer,
        clock: Clock,
    ) -> None:
        self._database = database
        self._channels = channels
        self._addresses = addresses
        self._post = post
        self._buckets = buckets
        self._sealer = sealer
        self._clock = clock

    async def invite(self, channel: Channel) -> list[str]:
        """Mails a code to each address of a new or changed channel that waits and has none yet. Gives what went wrong:
        the channel is there in any case."""
        try:
            return await self._ask(channel.tenant, channel.id, again=False)
        except Exception as error:
            known = error if isinstance(error, MeshError) else storage_error(error)
            if known is None:
                log.exception("codes of the channel %s weren't mailed by a fault of ours", channel.id)
            return [f"no code was mailed yet; `monitors channels verify {channel.name} --again` mails it"]

    async def ask_again(self, actor: Actor, id_or_name: str) -> tuple[Channel, list[str]]:
        """Mails a new code to each address of a channel that waits. If none does, nothing is done. Gives what went
        wrong. Raises NotFound, InvalidField if it isn't of e-mail, WrongState and QuotaExceeded."""
        channel = await self._database.read(lambda session: self._channels.get(session, actor.tenant, id_or_name))
        waiting = mail_target(channel).waiting
        if not waiting:
            return channel, []
        warnings = await self._ask(actor.tenant, channel.id, again=True)
        asked = Change("channel", channel.id, None, {"askedAgain": list(waiting)})
        await audited(self._database, actor, "SendVerification", self._clock.now(), lambda _: (None, [asked]))
        return channel, warnings

    async def _ask(self, tenant: str, channel_id: str, *, again: bool) -> list[str]:
        now = self._clock.now()

        def look(session: Session) -> tuple[Channel, list[str], int]:
            with of_tenant(session, tenant):
                channel = self._channels.get(session, tenant, channel_id)
                target = channel.target
                waiting = target.waiting if isinstance(target, EmailTarget) else ()
                # An address that differs in its case alone is the same.
                unique = {one.lower(): one for one in waiting}.values()
                known = {one: self._addresses.get(session, tenant, one) for one in unique}
                wanted = [one for one, each in known.items() if again or not each.awaits(now)]
                free = [one for one in wanted if not known[one].wait(now)]
                return channel, free, min((known[one].wait(now) for one in wanted if one not in free), default=0)

        channel, free, wait = await self._database.read(look)
        if again and not free and wait:
            raise _too_soon(wait)
        taken, seconds = await self._buckets.take_some(
            f"verification:{tenant}", MAILS_AN_HOUR * SECOND / HOUR, MAILS_AN_HOUR, len(free)
        )
        if taken < len(free) and not taken and again:
            raise _too_many(seconds)
        codes = await self._database.write(lambda session: self._make_codes(session, channel, free[:taken], now))
        failed = await self._mail(channel, codes, now)
        return [*failed, *_left_out(channel, free[taken:])]

    def _make_codes(self, session: Session, channel: Channel, addresses: Sequence[str], now: int) -> list[Code]:
        tenant = channel.tenant
        with of_tenant(session, tenant):
            self._channels.lock(session, tenant)
            self._addresses.forget_old(session, tenant, now)
            return [Code(one, *self._addresses.make_code(session, tenant, one, now)) for one in addresses]

    async def _mail(self, channel: Channel, codes: Sequence[Code], now: int) -> list[str]:
        """Mails codes; gives what went wrong."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(code: Code) -> Outcome | None:
            async with places:
                return await self._mail_one(channel, code, now)

        outcomes = await asyncio.gather(*map(one, codes))
        failed = {
            code.address: outcome.detail
            for code, outcome in zip(codes, outcomes, strict=True)
            if outcome is not None and outcome.kind not in ARRIVED
        }
        if failed:
            await self._database.write(lambda session: self._let_try_again(session, channel.tenant, list(failed)))
        return [
            f"the code couldn't be mailed to {address}: {why}; `monitors channels verify {channel.name} --again` mails "
            "another"
            for address, why in failed.items()
        ]

    async def _mail_one(self, channel: Channel, code: Code, now: int) -> Outcome | None:
        """None if the mailbox has got several lately, whoever was the cause."""
        mailer, post = self._post.mailer, self._post
        if mailer is None:
            return await post.hand_over([], "")
        mailbox = self._sealer.digest("mailbox", code.address.lower()).hex()[:32]
        if await self._buckets.take(f"mailbox:{mailbox}", MAILS_TO_ONE * SECOND / DAY, MAILS_TO_ONE):
            return None
        url = post.links.verification(channel, code.address, code.id)
        mail = render(channel, code.address, code.text, now + CODE_LIFETIME, url, mailer.sender, now)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                return await post.hand_over([Letter(mail, (code.address,))], f"verify_{code.id}")
        except TimeoutError:
            return Outcome(OutcomeKind.AMBIGUOUS, f"no answer within {SEND_SECONDS:.0f} seconds; it may arrive")

    def _let_try_again(self, session: Session, tenant: str, addresses: Sequence[str]) -> None:
        """What didn't go out needs no pause before the next."""
        with of_tenant(session, tenant):
            self._channels.lock(session, tenant)
            for one in addresses:
                standing = self._addresses.get(session, tenant, one)
                self._addresses.put(session, tenant, one, replace(standing, sent_at=0))


def _left_out(channel: Channel, addresses: Sequence[str]) -> list[str]:
    if not addresses:
        return []
    told = f"no code was mailed to {', '.join(addresses)}, as {MAILS_AN_HOUR} an hour are at most"
    return [f"{told}; `monitors channels verify {channel.name} --again` mails it later"]


def _too_soon(wait: int) -> QuotaExceeded:
    seconds = -(-wait // SECOND)
    return QuotaExceeded(
        f"a code was mailed there lately; wait {seconds} s before another is, and look also where unwanted mail goes",
        metadata={"quota": "verification mails"},
        retry_after=float(seconds),
    )


def _too_many(seconds: float) -> QuotaExceeded:
    return QuotaExceeded(
        f"{MAILS_AN_HOUR} codes an hour are mailed for an account; try again in {seconds:.0f} s",
        metadata={"quota": "verification mails", "limit": str(MAILS_AN_HOUR)},
        retry_after=seconds,
    )
