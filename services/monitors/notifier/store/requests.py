"""Answers to requests that carry a request_id, so that a repeat gets the first answer."""

import hashlib

from sqlalchemy import delete
from sqlalchemy.orm import Session

from monitors.mesh.errors import RequestIdReused
from monitors.mesh.secrets import SealBroken, Sealer
from monitors.mesh.tenancy import across_tenants
from monitors.mesh.times import DAY
from monitors.notifier.store.tables import RequestRow

KEPT = 7 * DAY


class RequestStore:
    """Remembers answers for a week, sealed, since one may hold a webhook's secret."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    def answer(self, session: Session, tenant: str, method: str, request_id: str, request: bytes) -> bytes | None:
        """The first answer to this request, None if it's new. Raises RequestIdReused if it was another request."""
        if not request_id:
            return None
        row = session.get(RequestRow, (tenant, method, request_id))
        if row is None:
            return None
        if row.request_hash != _hash(request):
            raise RequestIdReused(request_id)
        try:
            return self._sealer.open(row.sealed, associated(tenant, method, request_id))
        except SealBroken:
            # The master key is another one now: the first answer is lost, and doing it twice would be worse.
            raise RequestIdReused(request_id) from None

    def is_known(self, session: Session, tenant: str, method: str, request_id: str) -> bool:
        """Whether a request of this id was answered."""
        return session.get(RequestRow, (tenant, method, request_id)) is not None

    def remember(
        self, session: Session, tenant: str, method: str, request_id: str, request: bytes, answer: bytes, now: int
    ) -> None:
        """Keeps an answer, in the transaction of the change itself."""
        if not request_id:
            return
        with across_tenants(session, "what is old is forgotten of all tenants"):
            session.execute(delete(RequestRow).where(RequestRow.created_at < now - KEPT))
        session.add(
            RequestRow(
                tenant_id=tenant,
                method=method,
                request_id=request_id,
                request_hash=_hash(request),
                sealed=self._sealer.seal(answer, associated(tenant, method, request_id)),
                created_at=now,
            )
        )


def _hash(request: bytes) -> bytes:
    return hashlib.sha256(request).digest()


def associated(tenant: str, method: str, request_id: str) -> str:
    """What an answer is bound to."""
    return f"{tenant}|requests|{method}/{request_id}|sealed"
