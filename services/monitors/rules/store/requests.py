"""The first answer to each request_id, so that a repeat changes nothing."""

from collections.abc import Callable

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from monitors.mesh.errors import RequestIdReused
from monitors.mesh.tenancy import crosses_tenants
from monitors.rules.store.tables import requests


def once(
    session: Session,
    tenant: str,
    method: str,
    request_id: str,
    request_digest: str,
    now: int,
    work: Callable[[], bytes],
) -> bytes:
    """The answer that `work` gives, or gave when this request came first. Raises RequestIdReused for another request
    under the same id. Without a request_id every request is the first."""
    if not request_id:
        return work()
    known = first_answer(session, tenant, method, request_id, request_digest)
    if known is not None:
        return known
    response = work()
    session.execute(
        insert(requests).values(
            tenant_id=tenant,
            method=method,
            request_id=request_id,
            request_digest=request_digest,
            response=response,
            create_time=now,
        )
    )
    return response


def first_answer(session: Session, tenant: str, method: str, request_id: str, request_digest: str) -> bytes | None:
    """What the request was answered when it came first; None if it's new. Raises RequestIdReused as `once` does."""
    known = session.execute(
        select(requests.c.request_digest, requests.c.response).where(
            requests.c.tenant_id == tenant, requests.c.method == method, requests.c.request_id == request_id
        )
    ).first()
    if known and known.request_digest != request_digest:
        raise RequestIdReused(request_id)
    return bytes(known.response) if known else None


@crosses_tenants("what is old is forgotten of all tenants")
def forget_before(session: Session, time: int) -> None:
    """Forgets the answers that were given before `time`, of all tenants."""
    session.execute(delete(requests).where(requests.c.create_time < time))
