"""Tenants and API keys. Of a key only its digest is remembered."""

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, bindparam, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monitors.mesh.errors import NotFound, Unauthenticated
from monitors.mesh.rows import read_rows
from monitors.mesh.tenancy import crosses_tenants
from monitors.rules.store.tables import keys, tenants

ANOTHER = "use another one, or make one: `monitors keys create`"
_KEYS = select(keys, tenants.c.tier).join_from(keys, tenants)
_BY_ID = _KEYS.where(keys.c.id == bindparam("id"))


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key's owner and what it may do. Times are in nanoseconds since 1970, None for what hasn't happened or never
    does."""

    tenant: str
    id: str
    scopes: tuple[str, ...]
    expire_time: int | None
    tier: str = ""
    """The tenant's; empty if it has none of its own."""
    title: str = ""
    creator: str = ""
    create_time: int = 0
    last_use_time: int | None = None
    revoke_time: int | None = None
    account: str = ""
    """The account in the existing user system with which it ends; empty if with none."""
    digest: bytes = field(default=b"", repr=False)
    """What is stored of it."""


def add_tenant(session: Session, tenant: str, now: int, tier: str = "") -> None:
    """Makes a tenant unless it's there, and gives it a tier; an empty one takes its own away."""
    present = tier_of(session, tenant)
    if present is None:
        try:
            with session.begin_nested():
                session.execute(insert(tenants).values(id=tenant, create_time=now, tier=tier or None))
        except IntegrityError:
            # Another process has seen the tenant for the first time too.
            return
    elif present != tier:
        session.execute(update(tenants).where(tenants.c.id == tenant).values(tier=tier or None))


def ensure_tenant(session: Session, tenant: str, now: int) -> bool:
    """Makes a tenant unless it's there, which it returns; one that is keeps its tier."""
    if tier_of(session, tenant) is not None:
        return False
    add_tenant(session, tenant, now)
    return True


def tier_of(session: Session, tenant: str) -> str | None:
    """A tenant's tier, empty if it has none of its own; None if there is no such tenant."""
    row = session.execute(select(tenants.c.tier).where(tenants.c.id == tenant)).first()
    return (row.tier or "") if row else None


def first_key_place(session: Session, tenant: str, now: int) -> str:
    """Where the first key of a tenant was made; empty if none was, or it has ended. Until the transaction ends nobody
    else learns it, or makes one."""
    row = session.execute(
        select(tenants.c.first_key_id, tenants.c.first_key_place).where(tenants.c.id == tenant).with_for_update()
    ).first()
    if row is None or row.first_key_id is None:
        return ""
    of_key = keys.c.tenant_id == tenant, keys.c.id == row.first_key_id
    is_live = session.scalar(select(func.count()).where(*of_key, _has_not_ended(now)))
    return (row.first_key_place or "") if is_live else ""


def note_first_key(session: Session, tenant: str, key_id: str, place: str) -> None:
    """Remembers where the first key of a tenant was made."""
    changed = {"first_key_id": key_id, "first_key_place": place}
    session.execute(update(tenants).where(tenants.c.id == tenant).values(changed))


def add_key(session: Session, digest: bytes, stored: StoredKey) -> None:
    """Remembers a new key."""
    session.execute(
        insert(keys).values(
            tenant_id=stored.tenant,
            id=stored.id,
            digest=digest,
            title=stored.title,
            scopes=" ".join(stored.scopes),
            create_time=stored.create_time,
            expire_time=stored.expire_time,
            creator=stored.creator,
            account=stored.account or None,
        )
    )


@crosses_tenants("a key's text names no tenant: whose it is follows from it")
def find_key(session: Session, key_id: str, digests: Sequence[bytes], now: int) -> StoredKey:
    """The key of that id, if what is stored of it is one of the digests. Raises Unauthenticated if it isn't known or is
    over."""
    row = next(iter(read_rows(session, _BY_ID, {"id": key_id})), None)
    # Compared also where there is no such key, and with all digests, so that everything takes the same time.
    stored = bytes(row.digest) if row else bytes(32)
    is_same = sum(hmac.compare_digest(stored, digest) for digest in digests) > 0
    if row is None or not is_same:
        raise Unauthenticated(f"the API key isn't known; {ANOTHER}")
    if row.revoke_time is not None:
        raise Unauthenticated(f"the API key has been revoked; {ANOTHER}")
    if row.expire_time is not None and row.expire_time <= now:
        raise Unauthenticated(f"the API key has expired; {ANOTHER}")
    return _key_of(row)


@crosses_tenants("a key's text names no tenant: whose it is follows from it")
def set_digest(session: Session, key_id: str, digest: bytes) -> bool:
    """Makes the digest that of a key; whether there is such a key."""
    row = session.execute(select(keys.c.digest).where(keys.c.id == key_id)).first()
    if row is not None and bytes(row.digest) != digest:
        session.execute(update(keys).where(keys.c.id == key_id).values(digest=digest))
    return row is not None


def count_live(session: Session, tenant: str, now: int) -> int:
    """How many keys of the tenant haven't ended."""
    return session.scalar(select(func.count()).where(keys.c.tenant_id == tenant, _has_not_ended(now))) or 0


def _has_not_ended(now: int) -> ColumnElement[bool]:
    return and_(keys.c.revoke_time.is_(None), or_(keys.c.expire_time.is_(None), keys.c.expire_time > now))


def list_keys(session: Session, tenant: str, after: tuple[int, str] | None, limit: int) -> list[StoredKey]:
    """The tenant's keys, newest first; `after` is the time and the id of the last one of the page before."""
    query = _KEYS.where(keys.c.tenant_id == tenant)
    if after:
        time, key_id = after
        same = and_(keys.c.create_time == time, keys.c.id < key_id)
        query = query.where(or_(keys.c.create_time < time, same))
    rows = session.execute(query.order_by(keys.c.create_time.desc(), keys.c.id.desc()).limit(limit))
    return [_key_of(row) for row in rows]


def revoke_key(session: Session, tenant: str, key_id: str, now: int) -> tuple[StoredKey, StoredKey]:
    """Ends a key of the tenant, and returns it as it was and as it is; one that was revoked stays as it is. Raises
    NotFound."""
    row = session.execute(_KEYS.where(keys.c.tenant_id == tenant, keys.c.id == key_id)).first()
    if row is None:
        raise NotFound("key", key_id, "ListKeys shows those that there are")
    before = _key_of(row)
    if before.revoke_time is not None:
        return before, before
    session.execute(update(keys).where(keys.c.tenant_id == tenant, keys.c.id == key_id).values(revoke_time=now))
    return before, replace(before, revoke_time=now)


def _key_of(row: Row[Any]) -> StoredKey:
    return StoredKey(
        row.tenant_id,
        row.id,
        tuple(row.scopes.split()),
        row.expire_time,
        row.tier or "",
        row.title,
        row.creator or "",
        row.create_time,
        row.last_use_time,
        row.revoke_time,
        row.account or "",
        bytes(row.digest),
    )


@crosses_tenants("keys of all tenants are used meanwhile")
def note_uses(session: Session, uses: Mapping[str, int]) -> None:
    """Remembers when keys were last used."""
    for key_id, time in uses.items():
        session.execute(update(keys).where(keys.c.id == key_id).values(last_use_time=time))
