"""API keys, as RuleService's own database knows them."""

from monitors.mesh.database import Database
from monitors.mesh.identity import Principal, parse_api_key
from monitors.mesh.identity.keys import KEY_PREFIX
from monitors.mesh.times import now_nanos
from monitors.rules.store import keys


class ApiKeys:
    """Whose an API key is. When keys were used is kept here until it's written, so that no call waits for that."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._uses: dict[str, int] = {}

    async def identify(self, credential: str) -> Principal | None:
        """The owner of a key; None for what doesn't begin like one. Raises Unauthenticated."""
        if not credential.startswith(KEY_PREFIX):
            return None
        key, now = parse_api_key(credential), now_nanos()
        stored = await self._database.read(lambda session: keys.find_key(session, key, now))
        self._uses[stored.id] = now
        scopes = frozenset(stored.scopes)
        return Principal(stored.tenant, stored.id, scopes, tier=stored.tier, expire_time=stored.expire_time)

    def take_uses(self) -> dict[str, int]:
        """When keys were last used since this was asked last, in nanoseconds since 1970 by their ids."""
        uses, self._uses = self._uses, {}
        return uses
