"""Makes, lists, changes and deletes what tenants set of who is told of their alerts, whatever kind that is."""

from collections.abc import Callable
from typing import Any, TypeVar

from google.protobuf.message import Message

from monitors.mesh.audit import Change
from monitors.mesh.database import Database, Session
from monitors.mesh.identity import current_tenant
from monitors.mesh.ids import new_id
from monitors.notifier.clock import Clock
from monitors.notifier.model.policies import E
from monitors.notifier.once import carry_out, once_of
from monitors.notifier.pages import list_of, make_token, page_limit, read_token
from monitors.notifier.policies.kinds import Kind, Making
from monitors.notifier.store.policy import note_change
from monitors.notifier.store.requests import RequestStore

M = TypeVar("M", bound=Message)


class PolicyCalls:
    """What the contract's methods have in common. `look` is called when something may have to be told at once: what
    isn't muted any more, if it still fires."""

    def __init__(self, database: Database, requests: RequestStore, clock: Clock, look: Callable[[], None]) -> None:
        self._database = database
        self._requests = requests
        self._clock = clock
        self._look = look

    async def create(self, kind: Kind[E], request: Any, answer: type[M]) -> M:
        """Makes one. Raises InvalidFields, AlreadyExists and QuotaExceeded."""
        once, now = once_of(request), self._clock.now()
        making = Making(once.tenant, new_id(kind.id_kind), once.actor.user, now)
        entry = kind.made(getattr(request, kind.field), making)

        def work(session: Session) -> tuple[M, list[Change]]:
            kind.check_within(session, entry)
            note_change(session, once.tenant)
            made = kind.rows.insert(session, entry, now)
            kind.begin(session, made, now)
            shown = kind.show(made)
            return answer(**{kind.field: shown}), [Change(kind.field, entry.id, None, shown)]

        return answer.FromString(await carry_out(self._database, self._requests, once, now, work))

    async def list(self, kind: Kind[E], request: Any, answer: type[M], *, everything: bool = True) -> M:
        """Shows a page of them; unless `everything`, only those that aren't over."""
        tenant, limit, now = current_tenant(), page_limit(request.page_size), self._clock.now()
        which = list_of(tenant, f"{kind.fields} {everything}")
        after = read_token(request.page_token, which, list(kind.rows.order.values()))
        found = await self._database.read(
            lambda session: kind.rows.list_page(session, tenant, after, limit + 1, now, everything=everything)
        )
        token = make_token(kind.rows.position_of(found[limit - 1]), which) if len(found) > limit else ""
        return answer(**{kind.fields: map(kind.show, found[:limit])}, next_page_token=token)

    async def update(self, kind: Kind[E], request: Any, answer: type[M]) -> M:
        """Changes one. Raises NotFound, EtagMismatch, InvalidFields and AlreadyExists."""
        once, now, sent = once_of(request), self._clock.now(), getattr(request, kind.field)

        def work(session: Session) -> tuple[M, list[Change]]:
            before = kind.rows.get(session, once.tenant, sent.id)
            before.check_etag(sent.etag)
            after = kind.changed(before, sent, request.update_mask, now)
            kind.check_within(session, after)
            after = kind.rows.update(session, after)
            if after != before:
                kind.begin(session, after, now)
            note_change(session, once.tenant)
            kind.follow(session, after, now)
            shown = kind.show(after)
            changes = [Change(kind.field, after.id, kind.show(before), shown)] if after != before else []
            return answer(**{kind.field: shown}), changes

        done = await carry_out(self._database, self._requests, once, now, work)
        self._look()
        return answer.FromString(done)

    async def delete(self, kind: Kind[E], request: Any, answer: type[M]) -> M:
        """Deletes one, or ends it. Raises NotFound and EtagMismatch."""
        once, now = once_of(request), self._clock.now()

        def work(session: Session) -> tuple[M, list[Change]]:
            before = kind.rows.get(session, once.tenant, getattr(request, f"{kind.field}_id"))
            before.check_etag(request.etag)
            after = kind.rest(before, now)
            if after == before:
                return answer(), []
            if after is None:
                kind.rows.delete(session, before)
            else:
                kind.rows.update(session, after)
            note_change(session, once.tenant)
            kind.follow(session, before, now)
            shown = kind.show(after) if after else None
            return answer(), [Change(kind.field, before.id, kind.show(before), shown)]

        done = await carry_out(self._database, self._requests, once, now, work)
        self._look()
        return answer.FromString(done)
