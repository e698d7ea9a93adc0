"""An issuer's public keys: found by its metadata, kept, and fetched again when they are old or one is missing."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from monitors.mesh.errors import IdentityUnavailable
from monitors.mesh.identity.settings import OidcSettings, is_safe
from monitors.mesh.outbound import socket_for

log = logging.getLogger(__name__)

Jwk = Mapping[str, Any]

FRESH_SECONDS = 600.0
"""A key that the issuer has taken away is refused after this long."""
STALE_SECONDS = 3600.0
"""How long keys are good for while the issuer can't be reached."""
PAUSE_SECONDS = 30.0
"""From one fetch to the next, so that tokens with made-up keys can't make us knock at the issuer's door."""
FETCH_SECONDS = 5.0
LARGEST_DOCUMENT = 256 * 1024


class _Unfit(Exception):
    """What the issuer answered is of no use. The message says why."""


class IssuerKeys:
    """The keys by their ids. `clock` gives seconds that only go forward."""

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: list[Jwk] = []
        self._fetched = self._tried = float("-inf")
        self._renewing: asyncio.Task[None] | None = None

    async def find(self, key_id: object) -> Jwk | None:
        """The key of that id, or the only one if a token names none; None if there is no such key.

        Raises IdentityUnavailable if that can't be known.
        """
        key = self._known(key_id)
        if key is None or self._age() > FRESH_SECONDS:
            await self._refresh()
            key = self._known(key_id)
        if key is None and self._fetched < self._tried:
            raise IdentityUnavailable(f"the issuer {self._settings.issuer}")
        return key

    def _known(self, key_id: object) -> Jwk | None:
        if self._age() > STALE_SECONDS:
            return None
        if key_id is None:
            return self._keys[0] if len(self._keys) == 1 else None
        return next((key for key in self._keys if key.get("kid") == key_id), None)

    def _age(self) -> float:
        return self._clock() - self._fetched

    async def _refresh(self) -> None:
        if self._renewing is None or self._renewing.done():
            if self._clock() - self._tried < PAUSE_SECONDS:
                return
            self._renewing = asyncio.create_task(self._renew())
        # It goes on without whoever asked for it: else callers that give up at once could keep the keys from others.
        await asyncio.shield(self._renewing)

    async def _renew(self) -> None:
        self._tried = self._clock()
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                self._keys = await self._fetch()
        except (_Unfit, aiohttp.ClientError, TimeoutError) as error:
            why = str(error) if isinstance(error, _Unfit) else type(error).__name__
            log.warning("the keys of the issuer %s can't be had: %s", self._settings.issuer, why)
        else:
            self._fetched = self._tried

    async def _fetch(self) -> list[Jwk]:
        connector = aiohttp.TCPConnector(socket_factory=socket_for)
        async with aiohttp.ClientSession(headers={"Accept": "application/json"}, connector=connector) as client:
            url = self._settings.jwks_url or await self._find_jwks(client)
            found = (await _get(client, url)).get("keys")
        if not isinstance(found, list):
            raise _Unfit(f"{url} has no key set")
        return [key for key in found if isinstance(key, dict) and key.get("use") in (None, "sig")]

    async def _find_jwks(self, client: aiohttp.ClientSession) -> str:
        url = f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration"
        metadata = await _get(client, url)
        if metadata.get("issuer") != self._settings.issuer:
            raise _Unfit(f"{url} is the metadata of another issuer; OIDC_ISSUER must be as it says")
        jwks_url = metadata.get("jwks_uri")
        if not isinstance(jwks_url, str) or not is_safe(jwks_url):
            raise _Unfit(f"{url} names no jwks_uri with https; OIDC_JWKS_URL can give one")
        return jwks_url


async def _get(client: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    """The JSON object at a URL. Redirects aren't followed. Raises _Unfit and ClientError."""
    async with client.get(url, allow_redirects=False) as response:
        if response.status != 200:
            raise _Unfit(f"{url} answered {response.status}")
        body = b""
        async for part in response.content.iter_chunked(16 * 1024):
            body += part
            if len(body) > LARGEST_DOCUMENT:
                raise _Unfit(f"{url} has more than {LARGEST_DOCUMENT // 1024} KiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise _Unfit(f"{url} isn't a JSON object")
    return document
