"""Puts the notifier together."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from monitors.mesh.audit_keeping import keep_audit
from monitors.mesh.config import NotifierSettings
from monitors.mesh.database import Database
from monitors.mesh.limits import LocalBuckets
from monitors.mesh.master_keys import KeyUnusable, key_ring
from monitors.mesh.secrets import Sealer
from monitors.mesh.shared import Shared
from monitors.notifier.answers import Answers
from monitors.notifier.changes import Changes
from monitors.notifier.channel_page.makers import Makers
from monitors.notifier.channel_page.server import ChannelPage, listening
from monitors.notifier.channels.apprise.send import Apprise
from monitors.notifier.channels.console.send import Printer
from monitors.notifier.channels.email.send import Post
from monitors.notifier.channels.senders import Senders
from monitors.notifier.clock import Clock, WallClock
from monitors.notifier.delivery import STOP_SECONDS, Dispatcher
from monitors.notifier.egress import Egress
from monitors.notifier.flow import Flow
from monitors.notifier.intake import Intake
from monitors.notifier.inviting import Inviter
from monitors.notifier.keeping import DeliveryKeeper
from monitors.notifier.mail_links import MailLinks
from monitors.notifier.making import ChannelMaker
from monitors.notifier.mirror import Mirror
from monitors.notifier.model.checks import Policy
from monitors.notifier.model.rates import Rates
from monitors.notifier.outage import Outages
from monitors.notifier.pictures import Pictures
from monitors.notifier.pulse import Pulse
from monitors.notifier.reports import Reporter
from monitors.notifier.service import NotifierService
from monitors.notifier.store.addresses import AddressStore
from monitors.notifier.store.channels import ChannelStore
from monitors.notifier.store.escalating import Escalations
from monitors.notifier.store.heartbeats import Heartbeats
from monitors.notifier.store.notices import Notices
from monitors.notifier.store.queue import Queue
from monitors.notifier.store.requests import RequestStore
from monitors.notifier.store.sealed import is_ours, keep_fingerprint_key
from monitors.notifier.store.tables import audit
from monitors.v1 import mesh_pb2
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub

if TYPE_CHECKING:
    from monitors.mesh.metrics.exposition import Metrics


class Notifier:
    """A running notifier."""

    def __init__(
        self,
        service: NotifierService,
        changes: Changes,
        database: Database,
        dispatcher: Dispatcher,
        keeper: DeliveryKeeper,
        clock: Clock,
    ) -> None:
        self._service = service
        self._database = database
        self._changes = changes
        self._dispatcher = dispatcher
        self._keeper = keeper
        self._clock = clock

    def export(self, metrics: "Metrics") -> None:
        """Counts what happens from now on, and lets it be read how it fares."""
        from monitors.notifier.metrics import export

        export(metrics, self._dispatcher, self._keeper, self._database, self._clock)

    async def why_unready(self) -> str:
        """Why it can't serve; empty if it can."""
        return "" if await self._database.is_reached() else "the database doesn't answer"

    def add_to(self, server: grpc.aio.Server) -> str:
        """Adds NotifierService to a server and returns its full name."""
        return self._service.add_to(server)

    async def ensure_console(self, tenant: str) -> None:
        """Makes a default channel `console` for a tenant without channels.

        To be called when RuleService listens: its list of names is up to date when this returns.
        """
        await self._changes.ensure_console(tenant)


@asynccontextmanager
async def open_notifier(
    settings: NotifierSettings,
    rules: grpc.aio.Channel,
    closing: asyncio.Event,
    console: Callable[[str], None],
    clock: Clock | None = None,
    *,
    shows_all: bool = False,
    shared: Shared | None = None,
    stop_seconds: float = STOP_SECONDS,
) -> AsyncIterator[Notifier]:
    """Opens the notifier and delivers for as long as it's open. In the end it waits `stop_seconds` for what is being
    sent; what doesn't end by then is sent again.

    `rules` is a channel to RuleService with the mesh's credential; RuleService needn't be there yet. `console` prints
    one line of plain text, which may hold square brackets and mustn't be read as markup; it's called in a thread. With
    `shows_all` it also prints what is told to other channels only. Raises DatabaseUnusable, KeyUnusable and PortTaken.
    """
    sealer = Sealer(await asyncio.to_thread(key_ring, settings.master_keys, settings.master_key_file))
    database = Database(
        settings.database_url,
        name="notifier",
        migrations="monitors.notifier.migrations",
        connections=settings.database_connections,
    )
    clock = clock or WallClock(database.now)
    egress = Egress(allow_local=settings.allow_local_targets)
    # Where the operator is told is the operator's own affair.
    operators = Egress(allow_local=True)
    printer = Printer(console)
    try:
        await asyncio.to_thread(database.prepare)
        sealer.fingerprint_key = await _kept_fingerprint_key(settings, database, sealer)
        apprise = Apprise(allow_local=settings.allow_local_targets)
        pictures = Pictures(RuleServiceStub(rules), settings.chart_seconds)
        post = Post(settings.mailer, egress, MailLinks(settings.page.public_url, sealer))
        senders = Senders(egress, post, printer, apprise, pictures.of, shows_all)
        outages = Outages(operators, settings.operator_webhook)
        running = _running(
            settings, sealer, database, senders, outages, rules, closing, clock, shared or Shared(), stop_seconds
        )
        async with running as notifier:
            yield notifier
    finally:
        printer.close()
        await egress.close()
        await operators.close()
        database.close()


@asynccontextmanager
async def _running(
    settings: NotifierSettings,
    sealer: Sealer,
    database: Database,
    senders: Senders,
    outages: Outages,
    rules: grpc.aio.Channel,
    closing: asyncio.Event,
    clock: Clock,
    shared: Shared,
    stop_seconds: float,
) -> AsyncIterator[Notifier]:
    stub = RuleServiceStub(rules)
    channels, requests = ChannelStore(sealer), RequestStore(sealer)
    queue = Queue(channels)
    mirror = Mirror(database, channels, stub)
    reporter = Reporter(database, stub)
    rates = Rates(settings.webhook_rate, settings.tenant_rate, settings.quotas)
    # Buckets of this process alone would say what its own say.
    flow = Flow(rates, None if isinstance(shared.buckets, LocalBuckets) else shared.buckets)
    dispatcher = Dispatcher(
        database, queue, Notices(channels), Escalations(channels), senders, flow, outages, clock, reporter.look
    )
    changes = Changes(database, channels, queue, requests, mirror, senders, sealer, clock)
    policy = Policy(settings.allow_local_targets, settings.mailer is not None)
    addresses = AddressStore(sealer, channels)
    inviter = Inviter(database, channels, addresses, senders.post, shared.buckets, sealer, clock)
    answers = Answers(database, channels, addresses, queue, sealer, clock, dispatcher.look, mirror.look)
    maker = ChannelMaker(changes, channels, addresses, inviter, sealer, policy, settings.quotas, clock)
    page = ChannelPage(maker, Makers(stub), database, requests, sealer.link_keys, clock, answers, senders.post.links)
    async with listening(page, settings.page) as page_url:
        channel_page = mesh_pb2.ChannelPage(url=page_url, key=sealer.link_keys[0])
        intake = Intake(stub, dispatcher, mirror, closing, channel_page)
        service = NotifierService(
            database, channels, addresses, requests, changes, maker, dispatcher, reporter, intake, sealer, clock,
            shared, outages, inviter, answers,
        )  # fmt: skip
        if not database.is_shared:
            # One process alone uses it, so whatever was being sent then isn't any more.
            await database.write(lambda session: queue.release_all(session, clock.now()))
        shortening = keep_audit(database, audit, settings.audit_kept)
        pulse = Pulse(database, Heartbeats(channels), stub, intake, dispatcher, clock)
        keeper = DeliveryKeeper(database, stub, settings, clock)
        async with _delivering(
            dispatcher, stop_seconds, intake.run(), mirror.run(), reporter.run(), pulse.run(), shortening, keeper.run()
        ):
            yield Notifier(service, changes, database, dispatcher, keeper, clock)


async def _kept_fingerprint_key(settings: NotifierSettings, database: Database, sealer: Sealer) -> bytes:
    if database.is_shared and not await database.read(lambda s: is_ours(s, sealer)):
        # It would take its share of the messages, and could send none of them.
        which = (
            "no key in MONITORS_MASTER_KEYS (or the file that MONITORS_MASTER_KEYS_FILE names) opens what is sealed in "
            "this database: give all notifiers the same keys, a new one beside the old one until all is sealed anew"
            if settings.master_keys
            else f"this notifier has no master key but {settings.master_key_file}, which opens no secret of this "
            "database: give all notifiers the same MONITORS_MASTER_KEYS, or the first one's file"
        )
        raise KeyUnusable(
            f"{which}. If the key is lost, name a new one in MONITORS_MASTER_KEYS, run `monitors secrets rotate "
            "--give-up-lost` with it, and enter the channels' secrets again"
        )
    return await database.write(lambda session: keep_fingerprint_key(session, sealer), repeatable=True)


@asynccontextmanager
async def _delivering(
    dispatcher: Dispatcher, stop_seconds: float, *others: Coroutine[Any, Any, None]
) -> AsyncIterator[None]:
    delivering = asyncio.create_task(dispatcher.run())
    following = [asyncio.create_task(loop) for loop in others]
    try:
        yield
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
        await dispatcher.stop(delivering, stop_seconds)
