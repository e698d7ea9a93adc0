"""Changes of channels: checked, mirrored to RuleService, committed, in that order.

RuleService learns first. If it's away, nothing has changed; if the commit fails then, it's told again what is stored.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace

from monitors.mesh.audit import Change
from monitors.mesh.database import Database, Session
from monitors.mesh.errors import ServiceUnavailable, WrongState
from monitors.mesh.ids import new_id
from monitors.mesh.quotas import NOT_BOUNDED, Quotas
from monitors.mesh.secrets import Sealer
from monitors.mesh.tenancy import of_tenant
from monitors.notifier.auditing import Actor, audited
from monitors.notifier.channels.senders import Senders
from monitors.notifier.clock import Clock
from monitors.notifier.mirror import Mirror
from monitors.notifier.model.channel import Channel, Reach
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.message import message_of_test
from monitors.notifier.model.targets import ConsoleTarget
from monitors.notifier.model.verification import unheard_reason
from monitors.notifier.once import Once, or_first_answer
from monitors.notifier.store import repeats
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.log import Attempt
from monitors.notifier.store.queue import CHANNEL_DELETED, Queue
from monitors.notifier.store.requests import RequestStore
from monitors.notifier.translate import from_channel

log = logging.getLogger(__name__)

# Below the 15 seconds that a client waits, so that a dead endpoint is an answer and not a lost call.
TEST_SECONDS = 10.0


@dataclass(frozen=True)
class Step:
    """A channel before and after a change; None where it doesn't exist."""

    before: Channel | None
    after: Channel | None

    @property
    def changes_names(self) -> bool:
        """Whether RuleService must know."""
        return _name_of(self.before) != _name_of(self.after)


class Changes:
    """Makes, changes, deletes and tests channels."""

    def __init__(
        self,
        database: Database,
        channels: ChannelStore,
        queue: Queue,
        requests: RequestStore,
        mirror: Mirror,
        senders: Senders,
        sealer: Sealer,
        clock: Clock,
    ) -> None:
        self._database = database
        self._channels = channels
        self._queue = queue
        self._requests = requests
        self._mirror = mirror
        self._senders = senders
        self._sealer = sealer
        self._clock = clock

    async def apply(
        self,
        once: Once,
        decide: Callable[[Session], Step],
        respond: Callable[[Step], bytes],
        quotas: Quotas = NOT_BOUNDED,
    ) -> bytes:
        """Makes the change that `decide` wants and returns the answer, or the first answer if this is a repeat. Raises
        QuotaExceeded if it makes a channel too many."""
        return await or_first_answer(self._database, self._requests, once, self._apply(once, decide, respond, quotas))

    async def _apply(
        self, once: Once, decide: Callable[[Session], Step], respond: Callable[[Step], bytes], quotas: Quotas
    ) -> bytes:
        # The page for channels has no caller: the tenant is that of its link.
        def look(session: Session) -> tuple[bytes | None, list[Channel] | None]:
            with of_tenant(session, once.tenant):
                return self._prepare(session, once, decide, quotas)

        async with self._mirror.lock:
            first, names = await self._database.read(look)
            if first is not None:
                return first
            if names is not None:
                await self._mirror.publish(once.tenant, names)
            try:
                return await audited(
                    self._database,
                    once.actor,
                    once.method,
                    self._clock.now(),
                    lambda session: self._commit(session, once, decide, respond, quotas),
                )
            except BaseException:
                if names is not None:
                    await self._restore_names(once.tenant)
                raise

    def _prepare(
        self, session: Session, once: Once, decide: Callable[[Session], Step], quotas: Quotas
    ) -> tuple[bytes | None, list[Channel] | None]:
        """The first answer of a repeat, else the tenant's channels as they'll be (None if their names stay)."""
        first = self._requests.answer(session, once.tenant, once.method, once.request_id, once.request)
        if first is not None:
            return first, None
        step = decide(session)
        if not step.changes_names:
            return None, None
        present = self._channels.list_all(session, once.tenant)
        _check_quota(step, len(present), quotas)
        others = [channel for channel in present if step.before is None or channel.id != step.before.id]
        return None, [*others, *([step.after] if step.after else [])]

    def _commit(
        self,
        session: Session,
        once: Once,
        decide: Callable[[Session], Step],
        respond: Callable[[Step], bytes],
        quotas: Quotas,
    ) -> tuple[bytes, list[Change]]:
        # What is decided now may rest on what another notifier has changed since it was prepared.
        count = self._channels.lock(session, once.tenant)
        first = self._requests.answer(session, once.tenant, once.method, once.request_id, once.request)
        if first is not None:
            return first, []
        step = decide(session)
        _check_quota(step, count, quotas)
        now = self._clock.now()
        if step.before is None and step.after is not None:
            self._channels.insert(session, step.after)
        elif step.after is not None:
            self._channels.update(session, step.after)
            if step.before and step.before.waits and not step.after.waits:
                repeats.look_again(session, once.tenant, now)
        elif step.before is not None:
            self._channels.delete(session, step.before)
            self._queue.suppress_waiting(session, once.tenant, step.before.id, CHANNEL_DELETED, now)
        self._channels.note_tier(session, once.tenant, once.actor.tier)
        answer = respond(step)
        self._requests.remember(session, once.tenant, once.method, once.request_id, once.request, answer, now)
        return answer, [self._told(step)]

    def _told(self, step: Step) -> Change:
        """The step as the audit has it: secrets are fingerprints."""
        known = step.after or step.before
        before, after = (from_channel(each, self._sealer) if each else None for each in (step.before, step.after))
        return Change("channel", known.id if known else "", before, after)

    async def _restore_names(self, tenant: str) -> None:
        try:
            await self._mirror.publish_stored(tenant)
        except Exception:
            log.exception("the channel names of a tenant may differ in RuleService until the next change or start")

    async def ensure_console(self, tenant: str) -> None:
        """Makes a default channel `console` for a tenant that has no channel at all, and publishes the names."""
        channel = Channel(
            tenant, new_id("chan"), "console", ConsoleTarget(), is_default=True, create_time=self._clock.now()
        )

        def make(session: Session) -> tuple[None, list[Change]]:
            if self._channels.list_page(session, tenant, "", 1):
                return None, []
            self._channels.insert(session, channel)
            return None, [self._told(Step(None, channel))]

        async with self._mirror.lock:
            await audited(self._database, Actor(tenant), "CreateChannel", self._clock.now(), make)
            try:
                await self._mirror.publish_stored(tenant, wait=True)
            except ServiceUnavailable:
                log.warning("the console channel is published when the rules service is back")

    async def test(self, actor: Actor, id_or_name: str) -> Attempt:
        """Sends a test message at once. A channel that was turned off works again if the test arrives."""
        channel = await self._database.read(lambda session: self._channels.get(session, actor.tenant, id_or_name))
        if unheard := unheard_reason(channel.target, channel.name):
            raise WrongState(f"the channel {channel.name!r}: {unheard}", metadata={"state": "unverified"})
        started = self._clock.now()
        message = message_of_test(new_id("test"), channel.name, started)
        try:
            async with asyncio.timeout(TEST_SECONDS):
                outcome = await self._senders.send(channel, message, started)
        except TimeoutError:
            outcome = Outcome(OutcomeKind.AMBIGUOUS, f"no answer within {TEST_SECONDS:.0f} seconds")
        attempt = Attempt(started, self._clock.now(), outcome.kind, outcome.status, outcome.detail)
        await audited(
            self._database,
            actor,
            "TestChannel",
            attempt.ended_at,
            lambda session: (None, [self._tested(session, actor, channel, outcome)]),
        )
        return attempt

    def _tested(self, session: Session, actor: Actor, tested: Channel, outcome: Outcome) -> Change:
        """What a test did: it sent something, and maybe made the channel work again."""
        self._channels.note_tier(session, actor.tenant, actor.tier)
        if tested.disabled_reason and outcome.kind in (OutcomeKind.OK, OutcomeKind.ACCEPTED):
            self._channels.lock(session, tested.tenant)
            channel = self._channels.get(session, tested.tenant, tested.id)
            if channel.revision == tested.revision:
                enabled = replace(channel, disabled_reason="", revision=channel.revision + 1)
                self._channels.update(session, enabled)
                return self._told(Step(channel, enabled))
        return Change("channel", tested.id, None, {"tested": outcome.kind.name.lower()})


def _check_quota(step: Step, present: int, quotas: Quotas) -> None:
    if step.before is None and present >= quotas.channels:
        raise quotas.exceeded(
            "channels",
            str(quotas.channels),
            f"there are {present} channels already, and the tier {quotas.tier!r} allows {quotas.channels}; delete one "
            "that isn't needed",
        )


def _name_of(channel: Channel | None) -> tuple[str, str, bool, Reach] | None:
    return (channel.name, channel.kind, channel.is_default, channel.reach) if channel else None
