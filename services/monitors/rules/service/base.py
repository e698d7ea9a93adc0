"""What the servicer's parts share: the database, the caller, repeatable changes, and streams that follow changes."""

import asyncio
import hashlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from monitors.mesh.audit import Change, Described, Source, events_of, tell
from monitors.mesh.audit import Event as AuditEvent
from monitors.mesh.audit_table import append
from monitors.mesh.database import Database, Session, storage_error
from monitors.mesh.errors import InvalidField
from monitors.mesh.events import Changes, Watched, first_of
from monitors.mesh.identity import Authenticate, current_principal, current_source, current_tenant
from monitors.mesh.quotas import NOT_BOUNDED, Quotas, Tiers
from monitors.mesh.spans import current_traceparent
from monitors.mesh.tenancy import of_tenant
from monitors.rules.identity.api_keys import ApiKeys
from monitors.rules.model.alert import Event
from monitors.rules.model.facts_memory import FactsMemory
from monitors.rules.model.recent import Recent
from monitors.rules.service.outlets import Outlets
from monitors.rules.store.requests import first_answer, once
from monitors.rules.store.tables import audit
from monitors.v1.mesh_pb2 import ChannelPage

if TYPE_CHECKING:
    from monitors.v1.evaluator_service_pb2_grpc import EvaluatorServiceAsyncStub

M = TypeVar("M", bound=Message)
T = TypeVar("T")
LONGEST_REQUEST_ID = 64
# A stream gives a sign of life well within the ten seconds that the contract promises.
HEARTBEAT_SECONDS = 3.0
# A gRPC message has 4 MiB at most.
LARGEST_MESSAGE = 3 * 1024 * 1024


@dataclass(frozen=True)
class Caller:
    """Who changes something, when, what they may have, and what was changed so far in the present transaction."""

    tenant: str
    user: str
    now: int
    source: Source = field(default_factory=Source)
    quotas: Quotas = NOT_BOUNDED
    changes: list[Change] = field(default_factory=list)
    traceparent: str = ""
    """The W3C `traceparent` of the call, if its trace is followed: what people are told of it belongs there too."""

    def changed(self, kind: str, identifier: str, before: Described = None, after: Described = None) -> None:
        """Notes a change for the audit. What was before or is after is None where there is nothing."""
        self.changes.append(Change(kind, identifier, before, after))


def caller(now: int, tenant: str = "") -> Caller:
    """The caller of the RPC that is being served, for a tenant that a service has named or for their own. To be called
    on the event loop."""
    traceparent = current_traceparent()
    return Caller(tenant or current_tenant(), current_principal().user, now, current_source(), traceparent=traceparent)


@dataclass(frozen=True)
class Core:
    """What every part of the servicer needs. `evaluator` is None where there is none to ask."""

    database: Database
    authenticate: Authenticate
    api_keys: ApiKeys
    closing: asyncio.Event
    evaluator: "EvaluatorServiceAsyncStub | None"
    rules_changed: Changes = field(default_factory=Changes)
    alerts_changed: Changes = field(default_factory=Changes)
    outbox_changed: Changes = field(default_factory=Changes)
    watched_alerts: Watched = field(default_factory=Watched)
    """Whose alerts are being watched, by tenant."""
    tiers: Tiers = field(default_factory=Tiers)
    knows_accounts: bool = False
    """Whether it can be asked which accounts of the existing user system are active."""
    channel_pages: dict[str, ChannelPage] = field(default_factory=dict)
    """The pages of the notifiers that are there, by the lease of each."""
    on_recorded: list[Callable[[Sequence[Event]], None]] = field(default_factory=list)
    """Called with what happened to alerts by transitions that were recorded."""
    on_forgotten: list[Callable[[int], None]] = field(default_factory=list)
    """Called with how many alerts were deleted, as they had been over for longer than they're kept."""
    outlets: Outlets = field(default_factory=Outlets)
    """The streams to notifiers."""
    abandoned: set[str] = field(default_factory=set)
    """The leases of notifiers that have gone, which are still to be given back."""
    recent: Recent = field(default_factory=Recent)
    """What was recorded last."""
    facts: FactsMemory = field(default_factory=FactsMemory)
    """What the last alerts took from their rules."""


class Part:
    """A part of the servicer."""

    def __init__(self, core: Core) -> None:
        self.core = core

    async def change(
        self,
        method: str,
        request: Message,
        response: type[M],
        work: Callable[[Session, Caller], M],
        tenant: str = "",
    ) -> M:
        """Makes a change in one transaction, of the caller's tenant unless another is given; a repeat of the request_id
        gets the first answer."""
        request_id: str = getattr(request, "request_id", "")
        if len(request_id) > LONGEST_REQUEST_ID:
            raise InvalidField("request_id", f"has {len(request_id):,} characters; at most {LONGEST_REQUEST_ID}")
        digest = hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()

        def transaction(session: Session, who: Caller) -> bytes:
            return once(
                session,
                who.tenant,
                method,
                request_id,
                digest,
                who.now,
                lambda: work(session, who).SerializeToString(),
            )

        tenant = tenant or current_tenant()
        try:
            # Run again after a commit of which nobody knows, it finds its own first answer.
            answer = await self.audited(method, transaction, tenant, repeatable=bool(request_id))
        except Exception as error:
            # Where the database itself fails there's nothing to find.
            if not request_id or storage_error(error) is not None:
                raise
            # Perhaps another replica has just carried out the same request: then that is why it can't be done now.
            first = await self._first_answer(tenant, method, request_id, digest)
            if first is None:
                raise
            answer = first
        for changed in (self.core.rules_changed, self.core.alerts_changed, self.core.outbox_changed):
            changed.announce()
        return response.FromString(answer)

    async def _first_answer(self, tenant: str, method: str, request_id: str, digest: str) -> bytes | None:
        def look(session: Session) -> bytes | None:
            with of_tenant(session, tenant):
                return first_answer(session, tenant, method, request_id, digest)

        return await self.core.database.read(look)

    async def audited(
        self, method: str, work: Callable[[Session, Caller], T], tenant: str = "", *, repeatable: bool = False
    ) -> T:
        """Runs `work` in one transaction, together with the audit of the changes that it notes, which belongs to the
        caller's tenant unless another is given. `repeatable` is as for the database."""
        quotas = self.core.tiers.of(current_principal().tier)
        asked = replace(caller(self.core.database.now(), tenant), quotas=quotas)

        def transaction(session: Session) -> tuple[T, list[AuditEvent]]:
            # A transaction may be tried again: what it noted before wasn't done.
            who = replace(asked, changes=[])
            # A service of the mesh has no tenant of its own, and names one.
            with of_tenant(session, who.tenant):
                answer = work(session, who)
                events = events_of(who.tenant, who.user, who.source, method, who.now, who.changes)
                append(session, audit, events)
            return answer, events

        answer, events = await self.core.database.write(transaction, repeatable=repeatable)
        tell(events)
        return answer

    async def follow(
        self,
        changes: Sequence[Changes],
        look: Callable[[], Awaitable[tuple[Sequence[M], bool]]],
        sign_of_life: M,
        wait: Callable[[], float] = lambda: HEARTBEAT_SECONDS,
    ) -> AsyncIterator[M]:
        """Looks whenever any of `changes` comes, and sends what it finds, until the server closes. `look` also says
        whether there may be more to find at once, `wait` after how many seconds to look at the latest."""
        # The monotonic clock begins anywhere: on some machines at 0 when they are started.
        sent = -math.inf
        try:
            while not self.core.closing.is_set():
                upcoming = [each.upcoming for each in changes]
                found, is_more = await look()
                for message in found:
                    yield message
                if found:
                    sent = time.monotonic()
                elif time.monotonic() - sent >= HEARTBEAT_SECONDS:
                    yield sign_of_life
                    sent = time.monotonic()
                if is_more:
                    continue
                await first_of(*upcoming, self.core.closing, within=min(wait(), HEARTBEAT_SECONDS))
        except asyncio.CancelledError:
            # The client has gone. Passed on, it would be logged by gRPC as a fault of ours.
            return


def fitting(items: Sequence[T], size_of: Callable[[T], int]) -> list[T]:
    """As many of the items, from the first on, as fit into a message; one at least."""
    taken: list[T] = []
    size = 0
    for item in items:
        size += size_of(item)
        if taken and size > LARGEST_MESSAGE:
            break
        taken.append(item)
    return taken
