"""API keys, as RuleService's own database knows them."""

from collections.abc import Sequence
from dataclasses import replace

from monitors.mesh.database import Database, Session
from monitors.mesh.identity import ApiKey, Principal, new_api_key, parse_api_key
from monitors.mesh.identity.keys import KEY_PREFIX
from monitors.mesh.masking import Secret
from monitors.rules.store import keys


class ApiKeys:
    """Makes keys and knows whose they are. When they were used is kept here until it's written, so that no call waits
    for that.

    Of several peppers the first is for new keys; keys that were made with another one, or before there was one, go on
    working.
    """

    def __init__(self, database: Database, peppers: Sequence[Secret] = ()) -> None:
        self._database = database
        self._peppers = [pepper.reveal() for pepper in peppers]
        self._uses: dict[str, int] = {}

    async def identify(self, credential: str) -> Principal | None:
        """The owner of a key; None for what doesn't begin like one. Raises Unauthenticated."""
        if not credential.startswith(KEY_PREFIX):
            return None
        key, now = parse_api_key(credential), self._database.now()
        digests = key.digests(self._peppers)
        stored = await self._database.read(lambda session: keys.find_key(session, key.key_id, digests, now))
        self._uses[stored.id] = now
        scopes = frozenset(stored.scopes)
        return Principal(stored.tenant, stored.id, scopes, tier=stored.tier, expire_time=stored.expire_time)

    def make(self, session: Session, wanted: keys.StoredKey) -> ApiKey:
        """Makes a key for a tenant that is there; `wanted` says everything but its id."""
        key = new_api_key()
        keys.add_key(session, key.digests(self._peppers)[0], replace(wanted, id=key.key_id))
        return key

    def adopt(self, session: Session, key: ApiKey, wanted: keys.StoredKey) -> bool:
        """Makes a key known that a file on this machine has, in case the database or the pepper is another one now. It
        stays revoked if it was. Returns whether it wasn't known."""
        digests = key.digests(self._peppers)
        if keys.set_digest(session, key.key_id, digests):
            return False
        keys.add_key(session, digests[0], replace(wanted, id=key.key_id))
        return True

    def take_uses(self) -> dict[str, int]:
        """When keys were last used since this was asked last, in nanoseconds since 1970 by their ids."""
        uses, self._uses = self._uses, {}
        return uses
