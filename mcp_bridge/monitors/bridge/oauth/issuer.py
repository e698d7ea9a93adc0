"""The issuer's public keys: found by its metadata, kept, and fetched again when they are old or one is missing."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx2

from monitors.bridge.oauth.settings import OAuthSettings, is_safe

log = logging.getLogger(__name__)

Jwk = Mapping[str, Any]

FRESH_SECONDS = 600
"""A key that the issuer has taken away is refused after this long."""
STALE_SECONDS = 3600
"""How long keys are good for while the issuer can't be reached."""
PAUSE_SECONDS = 30
"""From one fetch to the next, so that tokens with made-up keys can't make us knock at the issuer's door."""
FETCH_SECONDS = 5
LARGEST_DOCUMENT = 256 * 1024
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}


class IssuerAway(Exception):
    """The issuer's keys can't be had now. The message says why, for the log and the caller."""


class IssuerKeys:
    """The keys by their ids. `clock` gives seconds that only go forward."""

    def __init__(self, settings: OAuthSettings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._keys: list[Jwk] = []
        self._fetched = self._tried = float("-inf")
        self._failure = ""
        self._renewing: asyncio.Task[None] | None = None

    async def find(self, key_id: str | None) -> Jwk | None:
        """The key of that id, or the only one if a token names none; None if there is no such key.

        Raises IssuerAway if that can't be known.
        """
        key = self._known(key_id)
        if key is None or self._age() > FRESH_SECONDS:
            await self._refresh()
            key = self._known(key_id)
        if key is None and self._failure:
            raise IssuerAway(self._failure)
        return key

    def _known(self, key_id: str | None) -> Jwk | None:
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
        except TimeoutError:
            self._failure = f"it didn't answer within {FETCH_SECONDS} s"
        except IssuerAway as away:
            self._failure = str(away)
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            self._failure = f"it can't be reached ({type(error).__name__})"
        else:
            self._fetched, self._failure = self._clock(), ""
            return
        log.warning("the keys of the issuer %s can't be had: %s", self._settings.issuer, self._failure)

    async def _fetch(self) -> list[Jwk]:
        # nosemgrep: http-client-past-the-guard (the issuer is the operator's, and its documents are public)
        async with httpx2.AsyncClient(timeout=FETCH_SECONDS, headers=HEADERS) as client:
            url = self._settings.jwks_url or await self._find_jwks(client)
            document = await _get(client, url)
        found = document.get("keys") if document else None
        if not isinstance(found, list):
            raise IssuerAway(f"{url} has no key set")
        return [key for key in found if _can_sign(key)]

    async def _find_jwks(self, client: httpx2.AsyncClient) -> str:
        for url in metadata_urls(self._settings.issuer):
            document = await _get(client, url)
            if document is None:
                continue
            if document.get("issuer") != self._settings.issuer:
                raise IssuerAway(f"{url} is the metadata of another issuer; MONITORS_MCP_ISSUER must be as it says")
            jwks_url = document.get("jwks_uri")
            if not isinstance(jwks_url, str) or not is_safe(jwks_url):
                raise IssuerAway(f"{url} names no jwks_uri with https; MONITORS_MCP_JWKS_URL can give one")
            return jwks_url
        raise IssuerAway("it has no metadata at the usual places; MONITORS_MCP_JWKS_URL can say where its keys are")


def metadata_urls(issuer: str) -> tuple[str, ...]:
    """Where an issuer's metadata may be: RFC 8414, and OpenID Connect with the path before or after."""
    parts = urlsplit(issuer)
    origin, path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
    urls = (
        f"{origin}/.well-known/oauth-authorization-server{path}",
        f"{origin}/.well-known/openid-configuration{path}",
        f"{origin}{path}/.well-known/openid-configuration",
    )
    return tuple(dict.fromkeys(urls))


async def _get(client: httpx2.AsyncClient, url: str) -> dict[str, Any] | None:
    """The JSON object at a URL; None if nothing is there. Redirects aren't followed. Raises IssuerAway, HTTPError."""
    async with client.stream("GET", url) as response:
        if response.status_code >= 500:
            raise IssuerAway(f"{url} answered {response.status_code}")
        if response.status_code != 200:
            return None
        body = b""
        async for part in response.aiter_bytes():
            body += part
            if len(body) > LARGEST_DOCUMENT:
                raise IssuerAway(f"{url} has more than {LARGEST_DOCUMENT // 1024} KiB")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise IssuerAway(f"{url} isn't a JSON object")
    return document


def _can_sign(key: object) -> bool:
    return isinstance(key, dict) and key.get("use") in (None, "sig")
