"""Opens RuleService: its database, its servicer, its keys, and what it forgets in time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from monitors.mesh.audit_keeping import keep_audit
from monitors.mesh.config import LOCAL_TENANT, RulesSettings
from monitors.mesh.database import Database, Session, storage_error
from monitors.mesh.identity import ApiKey
from monitors.mesh.quotas import UNLIMITED
from monitors.mesh.tenancy import of_tenant
from monitors.mesh.times import DAY
from monitors.mesh.wakeups import ALERTS, NOTIFICATIONS, RULES, LocalWakeups, Wakeups
from monitors.rules.identity.api_keys import ApiKeys
from monitors.rules.identity.first_keys import FirstKeys, adopt_key, made_change, read_key, wanted_key, write_key
from monitors.rules.identity.opening import open_identity
from monitors.rules.identity.tenants import Tenants, keep_changes, put_tenant
from monitors.rules.keeping import keep_alerts
from monitors.rules.service import Core, RuleService, add_to_server
from monitors.rules.service.polling import follow_others, wake_watchers
from monitors.rules.store import keys, outbox, requests, shards, watching
from monitors.rules.store.monitors import find_monitor
from monitors.rules.store.tables import audit
from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceStub

if TYPE_CHECKING:
    from monitors.mesh.metrics.exposition import Metrics

log = logging.getLogger(__name__)

# Repeats of a request, watchers that were away and the audit of messages reach back this far.
MEMORY = 7 * DAY
HOUSEKEEPING_SECONDS = 60.0
# Bytes. A batch of transitions writes to a dozen indexes, most of them in random places.
WRITE_CACHE = 32 * 1024 * 1024


class Rules:
    """RuleService, open."""

    def __init__(self, core: Core, tenants: Tenants) -> None:
        self._core = core
        self._database = core.database
        self._service = RuleService(core)
        self._api_keys = core.api_keys
        self.first_keys = FirstKeys(core.database, core.api_keys)
        self.tier_of = tenants.tier_of
        """A tenant's tier, empty if it has none of its own; None if there is no such tenant."""
        self.authenticate = core.authenticate
        """Who a credential belongs to. Raises Unauthenticated, or IdentityUnavailable if that can't be found out."""

    async def why_unready(self) -> str:
        """Why it can't serve; empty if it can."""
        return "" if await self._database.is_reached() else "the database doesn't answer"

    def add_to(self, server: grpc.aio.Server) -> str:
        """Adds the servicer and returns the service's full name."""
        return add_to_server(self._service, server)

    def export(self, metrics: "Metrics") -> None:
        """Counts what happens from now on, and lets it be read how it fares."""
        from monitors.rules.metrics import export

        export(metrics, self._core)

    async def ensure_tenant(self, tenant: str, tier: str = "") -> None:
        """Makes a tenant unless it's there, with a tier, and no key: the operator makes that."""
        maker = wanted_key(tenant, self._database.now())

        def work(session: Session) -> None:
            with of_tenant(session, tenant):
                changes = put_tenant(session, tenant, tier, maker.create_time)
                keep_changes(session, tenant, maker.creator, maker.create_time, changes)

        await self._database.write(work)

    async def ensure_local_tenant(self) -> None:
        """The local tenant without a key, as `ensure_tenant` does it. It's bounded by no quota."""
        await self.ensure_tenant(LOCAL_TENANT, UNLIMITED)

    async def ensure_local_key(self, path: Path) -> str:
        """The local tenant's key, as `ensure_key` does it. That tenant is bounded by no quota."""
        return await self.ensure_key(LOCAL_TENANT, path, UNLIMITED)

    async def ensure_key(self, tenant: str, path: Path, tier: str = "") -> str:
        """A tenant's first key, from the file (mode 0600) or new; the tenant is made too, and gets its tier. A key
        that the database doesn't know, because the database was moved away, is made known again."""
        key = await asyncio.to_thread(read_key, path)
        if key is None:
            text = await self.add_tenant(tenant, tier)
            await asyncio.to_thread(write_key, path, text)
            return text
        wanted = wanted_key(tenant, self._database.now())

        def work(session: Session) -> None:
            with of_tenant(session, tenant):
                adopt_key(session, self._api_keys, key, wanted, tier)

        await self._database.write(work)
        return key.text

    async def add_tenant(self, tenant: str, tier: str = "") -> str:
        """Makes a tenant unless it's there, with a tier, and an API key of its with all scopes, which is returned."""
        wanted = wanted_key(tenant, self._database.now())

        def work(session: Session) -> ApiKey:
            with of_tenant(session, tenant):
                changes = put_tenant(session, tenant, tier, wanted.create_time)
                key = self._api_keys.make(session, wanted)
                changes.append(made_change(key, wanted))
                keep_changes(session, tenant, wanted.creator, wanted.create_time, changes)
            return key

        return (await self._database.write(work)).text

    async def knows_monitors(self, tenant: str, monitor_ids: Sequence[str]) -> bool:
        """Whether all of these monitors of a tenant have reported."""

        def look(session: Session) -> bool:
            with of_tenant(session, tenant):
                return all(find_monitor(session, tenant, each) is not None for each in monitor_ids)

        return await self._database.read(look)

    @property
    def is_shared(self) -> bool:
        """Whether other processes can have the database."""
        return self._database.is_shared

    async def void_leases(self) -> None:
        """Ends the leases of shards of a former run at once. Only for a process that knows itself to be alone."""
        await self._database.write(shards.void_all)

    async def keep_house(self, closing: asyncio.Event) -> None:
        """Notes when keys were used and forgets what is old, once a minute and when the service closes."""
        while not closing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(closing.wait(), HOUSEKEEPING_SECONDS)
            await self._tidy_up()

    async def _tidy_up(self) -> None:
        uses, outdated = self._api_keys.take_uses(), self._api_keys.take_outdated()
        horizon = self._database.now() - MEMORY

        def work(session: Session) -> None:
            keys.note_uses(session, uses)
            for key_id, digest in outdated.items():
                keys.set_digest(session, key_id, digest)
            requests.forget_before(session, horizon)
            outbox.forget_before(session, horizon)
            watching.forget_before(session, horizon)

        try:
            await self._database.write(work, repeatable=True)
        except Exception as error:
            # A full disk must not end the service: what is served says so by itself, and this is tried again.
            if known := storage_error(error):
                log.warning("housekeeping failed; trying again: %s", known.message)
            else:
                log.exception("housekeeping failed")


@asynccontextmanager
async def open_rules(
    settings: RulesSettings,
    closing: asyncio.Event,
    evaluator: grpc.aio.Channel | None,
    wakeups: Wakeups | None = None,
) -> AsyncIterator[Rules]:
    """RuleService on its database. `closing` ends its streams; `evaluator` is a channel with the service's token;
    `wakeups` are those of all processes that serve the same database.

    Raises DatabaseUnusable if the database can't be opened.
    """
    database = Database(
        settings.database_url,
        name="rules",
        migrations="monitors.rules.migrations",
        write_cache=WRITE_CACHE,
        connections=settings.database_connections,
    )
    try:
        await asyncio.to_thread(database.prepare)
        # The streams of a former run are gone. To a notifier of another process this is no harm: it knows a repeat.
        await database.write(outbox.give_back)
        stub = EvaluatorServiceStub(evaluator) if evaluator else None
        api_keys, tenants = _api_keys(database, settings), Tenants(database)
        topic = (wakeups or LocalWakeups()).topic
        changed = topic(RULES), topic(ALERTS), topic(NOTIFICATIONS)
        async with open_identity(settings.identity, api_keys, tenants) as authenticate:
            core = Core(
                database,
                authenticate,
                api_keys,
                closing,
                stub,
                *changed,
                tiers=settings.quotas,
                knows_accounts=_knows_accounts(settings),
            )
            opened = Rules(core, tenants)
            async with _kept(opened, core, settings):
                yield opened
    finally:
        await asyncio.to_thread(database.close)


@asynccontextmanager
async def _kept(opened: Rules, core: Core, settings: RulesSettings) -> AsyncIterator[None]:
    """What goes on beside the service: it looks for others' changes, tidies up, and forgets what isn't kept any
    longer."""
    ended = asyncio.Event()
    polling = asyncio.create_task(follow_others(core, settings.poll_seconds))
    waking = asyncio.create_task(wake_watchers(core))
    housekeeping = asyncio.create_task(opened.keep_house(ended))
    shortening = asyncio.create_task(keep_audit(core.database, audit, settings.audit_kept))
    forgetting = asyncio.create_task(keep_alerts(core.database, settings.alerts_kept, core.on_forgotten))
    try:
        yield
    finally:
        ended.set()
        for task in (shortening, forgetting, polling, waking):
            task.cancel()
        await asyncio.gather(housekeeping, shortening, forgetting, polling, waking, return_exceptions=True)


def _api_keys(database: Database, settings: RulesSettings) -> ApiKeys:
    return ApiKeys(database, settings.key_peppers, takes_bare=settings.takes_bare_keys)


def _knows_accounts(settings: RulesSettings) -> bool:
    sessions = settings.identity.sessions
    return sessions is not None and bool(sessions.database_url)
