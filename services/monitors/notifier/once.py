"""Requests that are carried out once: a repeat gets the first answer."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message

from monitors.mesh.audit import Change
from monitors.mesh.database import Database, Session, storage_error
from monitors.mesh.errors import InvalidField
from monitors.mesh.tenancy import of_tenant
from monitors.notifier.auditing import Actor, audited, caller
from monitors.notifier.store.requests import RequestStore

MAX_REQUEST_ID = 64


@dataclass(frozen=True)
class Once:
    """Who asks, and what makes a repeat of a request known: its method, its request_id (maybe empty), and the request
    itself."""

    actor: Actor
    method: str
    request_id: str
    request: bytes

    @property
    def tenant(self) -> str:
        """Whose things are changed."""
        return self.actor.tenant

    def __post_init__(self) -> None:
        if len(self.request_id) > MAX_REQUEST_ID:
            raise InvalidField("request_id", f"{len(self.request_id)} characters; send at most {MAX_REQUEST_ID}")


def once_of(request: Any) -> Once:
    """What makes a repeat of the request that is being served known. To be called on the event loop."""
    method = type(request).__name__.removesuffix("Request")
    return Once(caller(), method, request.request_id, request.SerializeToString(deterministic=True))


async def carry_out(
    database: Database,
    requests: RequestStore,
    once: Once,
    now: int,
    work: Callable[[Session], tuple[Message, Sequence[Change]]],
) -> bytes:
    """Runs `work` in one transaction with the audit of its changes, and returns its answer; or the first answer, if
    this is a repeat. Raises RequestIdReused if the id was another request's."""

    def transaction(session: Session) -> tuple[bytes, Sequence[Change]]:
        first = requests.answer(session, once.tenant, once.method, once.request_id, once.request)
        if first is not None:
            return first, []
        message, changes = work(session)
        answer = message.SerializeToString()
        requests.remember(session, once.tenant, once.method, once.request_id, once.request, answer, now)
        return answer, changes

    return await or_first_answer(database, requests, once, audited(database, once.actor, once.method, now, transaction))


async def or_first_answer(
    database: Database, requests: RequestStore, once: Once, carrying_out: Awaitable[bytes]
) -> bytes:
    """The answer of what is being carried out. Where that fails, perhaps another replica has just carried out the same
    request, and that is why: then the answer that it gave."""

    def look(session: Session) -> bytes | None:
        with of_tenant(session, once.tenant):
            return requests.answer(session, once.tenant, once.method, once.request_id, once.request)

    try:
        return await carrying_out
    except Exception as error:
        # Where the database itself fails there's nothing to find.
        if not once.request_id or storage_error(error) is not None:
            raise
        first = await database.read(look)
        if first is None:
            raise
        return first
