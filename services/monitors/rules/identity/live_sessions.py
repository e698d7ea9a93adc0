"""Whether a session is live: as Redis and the tables of the existing user system say.

Redis is asked first, and can be wiped: a session that it doesn't have may still be in the tables. The tables are asked
too where there are any, since a user who is no longer active may still have a session in Redis. What either of them
says against a session ends it. If neither can be asked, nothing is known, and nobody is let in.
"""

import hmac
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from monitors.mesh.errors import IdentityUnavailable, Unauthenticated
from monitors.mesh.identity.existing import ExistingDatabase, Row, is_true, moment_of
from monitors.mesh.identity.settings import SessionSettings

log = logging.getLogger(__name__)

REDIS_SECONDS = 0.5
SIGN_IN = "sign in again"


@dataclass(frozen=True)
class Asked:
    """What a token says of its session."""

    session_id: str
    user_id: str
    token: str = field(repr=False)


@dataclass(frozen=True)
class LiveSession:
    """What the user system says of a live session. `permissions` is None where it doesn't keep them; `expire_time` is
    in nanoseconds since 1970, None if it doesn't say."""

    tier: object
    permissions: list[object] | None = None
    expire_time: int | None = None


class LiveSessions:
    """The sessions of the existing user system."""

    def __init__(self, settings: SessionSettings) -> None:
        self._redis = _redis(settings.redis_url) if settings.redis_url else None
        self._database = ExistingDatabase(settings.database_url) if settings.database_url else None

    async def find(self, asked: Asked, now: int) -> LiveSession:
        """The session that a token belongs to. Raises Unauthenticated if it isn't live, or IdentityUnavailable."""
        cached, is_redis_away = await self._cached(asked.session_id)
        in_redis = _from_redis(asked, cached, now) if cached is not None else None
        if self._database is None:
            if in_redis is None and is_redis_away:
                raise IdentityUnavailable("the user system's Redis")
            if in_redis is None:
                raise ended()
            return in_redis
        try:
            row = await self._database.find_session(asked.session_id)
            user = await self._database.find_user(asked.user_id)
        except IdentityUnavailable:
            if in_redis is not None:
                return in_redis
            what = "the user system (neither Redis nor its database)" if self._redis else "the user system's database"
            raise IdentityUnavailable(what) from None
        if row is None and is_redis_away:
            # It may be one that Redis alone knows: nothing says that it has ended.
            raise IdentityUnavailable("the user system's Redis")
        return _from_tables(asked, row, user, in_redis, now)

    async def check_account(self, user_id: str) -> None:
        """Raises Unauthenticated unless the tables have an active user of this id, or IdentityUnavailable."""
        user = await self._database.find_user(user_id) if self._database else None
        if user is None or not is_true(user["is_active"]):
            raise Unauthenticated(
                "the account of whoever made the API key isn't active; use a key of somebody whose account is"
            )

    async def _cached(self, session_id: str) -> tuple[Mapping[str, Any] | None, bool]:
        """What Redis has of a session, and whether it couldn't be asked."""
        if self._redis is None:
            return None, False
        try:
            value = await self._redis.get(f"session:{session_id}")
        except (RedisError, OSError) as error:
            log.warning("the user system's Redis can't be asked: %s", type(error).__name__)
            return None, True
        return _document(value), False

    async def close(self) -> None:
        """Closes the connections."""
        if self._redis is not None:
            await self._redis.aclose()
        if self._database is not None:
            self._database.close()


def ended() -> Unauthenticated:
    """There is no such session any more."""
    return Unauthenticated(f"the session has ended; {SIGN_IN}")


def _redis(url: str) -> Redis:
    return Redis.from_url(
        "".join(url), socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS, retry=Retry(NoBackoff(), 0)
    )


def _document(value: bytes | str | None) -> Mapping[str, Any] | None:
    """A session's JSON; None if there is none, or nothing that could be one."""
    try:
        document = json.loads(value) if value else None
    except (ValueError, RecursionError):
        document = None
    return document if isinstance(document, dict) else None


def _from_redis(asked: Asked, session: Mapping[str, Any], now: int) -> LiveSession:
    """Raises Unauthenticated if it isn't the asked one."""
    user = session.get("user")
    user = user if isinstance(user, dict) else {}
    _check_same(asked, session.get("session_id"), user.get("id"), session.get("token"))
    expire_time = _end_of(session.get("expires_at") or None)
    _check_state(expire_time, now, is_active=is_true(session.get("is_active", True)))
    permissions = session.get("permissions")
    return LiveSession(user.get("tier"), permissions if isinstance(permissions, list) else None, expire_time)


def _from_tables(
    asked: Asked, row: Row | None, user: Row | None, in_redis: LiveSession | None, now: int
) -> LiveSession:
    """Raises Unauthenticated. Some systems keep their sessions in Redis alone: then a row needn't be there."""
    expire_time = in_redis.expire_time if in_redis else None
    if row is not None:
        # The token of a session that is in Redis is the one there, which may have been renewed since.
        _check_same(asked, row["id"], row["user_id"], asked.token if in_redis else row["token"])
        expire_time = _end_of(row["expires_at"])
        _check_state(expire_time, now, is_active=is_true(row["is_active"]))
    elif in_redis is None:
        raise ended()
    if user is None or not is_true(user["is_active"]):
        raise Unauthenticated("the account isn't active; ask whoever runs the user system")
    return LiveSession(user["tier"], in_redis.permissions if in_redis else None, expire_time)


def _end_of(value: object) -> int | None:
    """When a session ends, None if it doesn't say. Raises Unauthenticated if that can't be read: nobody is let in on a
    guess."""
    end = moment_of(value)
    if value is not None and end is None:
        raise ended()
    return end


def _check_same(asked: Asked, session_id: object, user_id: object, token: object) -> None:
    if str(session_id) != asked.session_id:
        raise ended()
    if user_id is None or str(user_id) != asked.user_id:
        raise Unauthenticated(f"the session is another user's; {SIGN_IN}")
    present = token if isinstance(token, str) else ""
    if not hmac.compare_digest(present.encode(errors="replace"), asked.token.encode(errors="replace")):
        raise Unauthenticated(f"the token isn't the session's present one; {SIGN_IN}")


def _check_state(expire_time: int | None, now: int, *, is_active: bool) -> None:
    if not is_active:
        raise ended()
    if expire_time is not None and expire_time <= now:
        raise Unauthenticated(f"the session has expired; {SIGN_IN}")
