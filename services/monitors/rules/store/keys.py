"""Tenants and API keys. Of a key only its digest is remembered."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, insert, select, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity import ApiKey
from monitors.rules.store.tables import keys, tenants


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A key's owner and what it may do. `expire_time` is None for a key without an end."""

    tenant: str
    id: str
    scopes: tuple[str, ...]
    expire_time: int | None
    tier: str = ""
    """The tenant's; empty if it has none of its own."""


def add_tenant(session: Session, tenant: str, now: int, tier: str = "") -> None:
    """Makes a tenant unless it's there, and gives it a tier; an empty one takes its own away."""
    present = tier_of(session, tenant)
    if present is None:
        session.execute(insert(tenants).values(id=tenant, create_time=now, tier=tier or None))
    elif present != tier:
        session.execute(update(tenants).where(tenants.c.id == tenant).values(tier=tier or None))


def tier_of(session: Session, tenant: str) -> str | None:
    """A tenant's tier, empty if it has none of its own; None if there is no such tenant."""
    row = session.execute(select(tenants.c.tier).where(tenants.c.id == tenant)).first()
    return (row.tier or "") if row else None


def add_key(session: Session, key: ApiKey, stored: StoredKey, title: str, now: int) -> None:
    """Remembers a new key."""
    session.execute(
        insert(keys).values(
            tenant_id=stored.tenant,
            id=stored.id,
            digest=key.digests()[0],
            title=title,
            scopes=" ".join(stored.scopes),
            create_time=now,
            expire_time=stored.expire_time,
        )
    )


def find_key(session: Session, key: ApiKey, now: int) -> StoredKey:
    """The key that a text is. Raises Unauthenticated if it isn't known or is over."""
    row = session.execute(select(keys, tenants.c.tier).join_from(keys, tenants).where(keys.c.id == key.key_id)).first()
    # Compared also where there is no such key, so that both take the same time.
    is_same = hmac.compare_digest(bytes(row.digest) if row else bytes(32), key.digests()[0])
    if row is None or not is_same:
        raise Unauthenticated("the API key isn't known; use another one, or make one: `monitors keys create`")
    if row.expire_time is not None and row.expire_time <= now:
        raise Unauthenticated("the API key has expired; make another one: `monitors keys create`")
    return StoredKey(row.tenant_id, row.id, tuple(row.scopes.split()), row.expire_time, row.tier or "")


def is_known(session: Session, key: ApiKey) -> bool:
    """Whether exactly this key is remembered."""
    return bool(
        session.scalar(
            select(func.count()).select_from(keys).where(keys.c.id == key.key_id, keys.c.digest == key.digests()[0])
        )
    )


def note_uses(session: Session, uses: Mapping[str, int]) -> None:
    """Remembers when keys were last used."""
    for key_id, time in uses.items():
        session.execute(update(keys).where(keys.c.id == key_id).values(last_use_time=time))
