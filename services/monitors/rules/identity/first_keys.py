"""Tenants' first keys, which RuleService makes and puts into files.

Of all that serve one database only one makes a tenant's: the row of the tenant says where. Each has a home of its own,
and would else leave a key with all scopes behind at every place where one was ever started.
"""

import asyncio
import logging
import os
import socket
from dataclasses import replace
from pathlib import Path

from monitors.mesh.audit import Change
from monitors.mesh.database import Database, Session
from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity import SCOPES, ApiKey, parse_api_key
from monitors.mesh.tenancy import of_tenant
from monitors.rules.identity.api_keys import ApiKeys
from monitors.rules.identity.tenants import keep_changes, put_tenant
from monitors.rules.store import keys
from monitors.rules.translate.keys import key_to_proto

log = logging.getLogger(__name__)


class FirstKeys:
    """Makes them."""

    def __init__(self, database: Database, api_keys: ApiKeys) -> None:
        self._database = database
        self._api_keys = api_keys

    async def ensure(self, tenant: str, path: Path, tier: str = "", *, anew: bool = False) -> str:
        """A tenant's first key in the file (mode 0600), made unless another RuleService has made one that hasn't ended;
        `anew` makes it all the same. The tenant is made too, and gets its tier. A key that the file has already is made
        known to the database.

        Returns where another has put it, in words, if there is none in the file; else nothing.
        """
        place = f"{await asyncio.to_thread(path.resolve)} on {socket.gethostname()}"
        key = await asyncio.to_thread(read_key, path)
        if key is not None:
            await self._adopt(tenant, key, tier, place)
            return ""
        text, elsewhere = await self._make(tenant, tier, place, anew=anew)
        if text:
            await asyncio.to_thread(write_key, path, text)
        return elsewhere

    async def _adopt(self, tenant: str, key: ApiKey, tier: str, place: str) -> None:
        wanted = wanted_key(tenant, self._database.now())

        def work(session: Session) -> None:
            with of_tenant(session, tenant):
                adopt_key(session, self._api_keys, key, wanted, tier)
                if not keys.first_key_place(session, tenant, wanted.create_time):
                    keys.note_first_key(session, tenant, key.key_id, place)

        await self._database.write(work)

    async def _make(self, tenant: str, tier: str, place: str, *, anew: bool) -> tuple[str, str]:
        """The key's text, or where another one is."""
        wanted = wanted_key(tenant, self._database.now())

        def work(session: Session) -> tuple[str, str]:
            with of_tenant(session, tenant):
                changes = put_tenant(session, tenant, tier, wanted.create_time)
                known = keys.first_key_place(session, tenant, wanted.create_time)
                # Of a key that was made here the file is lost.
                is_elsewhere = known not in ("", place) and not anew
                text = ""
                if not is_elsewhere:
                    key = self._api_keys.make(session, wanted)
                    keys.note_first_key(session, tenant, key.key_id, place)
                    changes.append(made_change(key, wanted))
                    text = key.text
                keep_changes(session, tenant, wanted.creator, wanted.create_time, changes)
            return text, known if is_elsewhere else ""

        return await self._database.write(work)


def adopt_key(session: Session, api_keys: ApiKeys, key: ApiKey, wanted: keys.StoredKey, tier: str) -> None:
    """Makes a tenant, its tier and a key that a file has known to the database, unless they are."""
    changes = put_tenant(session, wanted.tenant, tier, wanted.create_time)
    if api_keys.adopt(session, key, wanted):
        changes.append(made_change(key, wanted))
    keep_changes(session, wanted.tenant, wanted.creator, wanted.create_time, changes)


def wanted_key(tenant: str, now: int) -> keys.StoredKey:
    """A tenant's first key, as it's to be made."""
    return keys.StoredKey(tenant, "", SCOPES, None, title=tenant, creator="operator", create_time=now)


def made_change(key: ApiKey, wanted: keys.StoredKey) -> Change:
    """That it was made, for the audit."""
    return Change("key", key.key_id, None, key_to_proto(replace(wanted, id=key.key_id)))


def read_key(path: Path) -> ApiKey | None:
    """The key in a file; None if there is none, or none that is whole."""
    try:
        return parse_api_key(path.read_text().strip())
    except FileNotFoundError:
        return None
    except Unauthenticated:
        log.warning("%s holds no whole API key and is replaced by a new one", path)
        return None


def write_key(path: Path, text: str) -> None:
    """Writes a key so that nobody else can read it and the file is never half written."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.parent.chmod(0o700)
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
