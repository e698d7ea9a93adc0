"""API keys, as RuleService's own database knows them."""

import hmac
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from monitors.mesh.database import Database, Session
from monitors.mesh.errors import Unauthenticated
from monitors.mesh.identity import ApiKey, IdentityProvider, Principal, new_api_key, parse_api_key
from monitors.mesh.identity.keys import KEY_PREFIX
from monitors.mesh.masking import Secret
from monitors.rules.store import keys

CheckAccount = Callable[[str], Awaitable[None]]
"""Raises Unauthenticated unless an account of the existing user system is active, or IdentityUnavailable."""


class ApiKeys:
    """Makes keys and knows whose they are. When they were used, and how they are hashed from then on, is kept here
    until it's written, so that no call waits for that.

    Of several peppers the first is for new keys, and for others once they are used. Until then those that were made
    with another one go on working, and, unless `takes_bare` is false, those from before there was one.
    """

    def __init__(self, database: Database, peppers: Sequence[Secret] = (), *, takes_bare: bool = True) -> None:
        self._database = database
        self._peppers = [pepper.reveal() for pepper in peppers]
        self._takes_bare = takes_bare
        self._uses: dict[str, int] = {}
        self._outdated: dict[str, bytes] = {}

    async def identify(self, credential: str) -> Principal | None:
        """The owner of a key; None for what doesn't begin like one. Raises Unauthenticated."""
        if not credential.startswith(KEY_PREFIX):
            return None
        key, now = parse_api_key(credential), self._database.now()
        digests = key.digests(self._peppers)
        stored = await self._database.read(lambda session: keys.find_key(session, key.key_id, digests, now))
        if not self._takes_bare and hmac.compare_digest(stored.digest, digests[-1]):
            raise Unauthenticated(
                f"the API key is stored as it was before MONITORS_KEY_PEPPER was set, which isn't taken; {keys.ANOTHER}"
            )
        self._uses[stored.id] = now
        if not hmac.compare_digest(stored.digest, digests[0]):
            self._outdated[stored.id] = digests[0]
        scopes = frozenset(stored.scopes)
        return Principal(
            stored.tenant,
            stored.id,
            scopes,
            tier=stored.tier,
            expire_time=stored.expire_time,
            account=stored.account,
        )

    def make(self, session: Session, wanted: keys.StoredKey) -> ApiKey:
        """Makes a key for a tenant that is there; `wanted` says everything but its id."""
        key = new_api_key()
        keys.add_key(session, key.digests(self._peppers)[0], replace(wanted, id=key.key_id))
        return key

    def adopt(self, session: Session, key: ApiKey, wanted: keys.StoredKey) -> bool:
        """Makes a key known that a file on this machine has, in case the database or the pepper is another one now. It
        stays revoked if it was. Returns whether it wasn't known."""
        digest = key.digests(self._peppers)[0]
        if keys.set_digest(session, key.key_id, digest):
            return False
        keys.add_key(session, digest, replace(wanted, id=key.key_id))
        return True

    def take_uses(self) -> dict[str, int]:
        """When keys were last used since this was asked last, in nanoseconds since 1970 by their ids."""
        uses, self._uses = self._uses, {}
        return uses

    def take_outdated(self) -> dict[str, bytes]:
        """The digests by their ids of keys that have others and were used since this was asked last."""
        outdated, self._outdated = self._outdated, {}
        return outdated


@dataclass(frozen=True)
class EndingWithAccounts:
    """Takes a key that somebody with an account has made only as long as that account is active."""

    keys: IdentityProvider
    check_account: CheckAccount

    async def identify(self, credential: str) -> Principal | None:
        """As IdentityProvider says."""
        principal = await self.keys.identify(credential)
        if principal and principal.account:
            await self.check_account(principal.account)
        return principal


async def no_accounts(account: str) -> None:
    """Refuses all: nobody can be asked."""
    raise Unauthenticated(
        "the API key ends with its maker's account, which nobody can be asked about: JWT_SECRET and "
        "IDENTITY_DATABASE_URL of RuleService aren't set any more; use a key that the mesh's operator has made"
    )
