"""The bridge's word to RuleService: who calls and what they may do, signed, and over within a minute."""

import time

import jwt
from mcp.server.auth.provider import AccessToken

from monitors.bridge.oauth.tokens import TENANT_KEY
from monitors.bridge.scopes import MESH_SCOPES

LIFE_SECONDS = 60


class Signer:
    """Signs statements. RuleService takes one as a credential, and learns nothing of the caller's token."""

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def __call__(self, caller: AccessToken) -> str:
        """A statement about the caller: a JWT (HS256) of tenant, user and scopes of the mesh."""
        now = int(time.time())
        scopes = {scope for given in caller.scopes for scope in MESH_SCOPES.get(given, ())}
        claims = {
            "aud": "monitors-mesh",
            "iat": now,
            "exp": now + LIFE_SECONDS,
            "tenant": (caller.claims or {})[TENANT_KEY],
            "sub": caller.subject,
            "scope": " ".join(sorted(scopes)),
        }
        return jwt.encode(claims, self._secret, algorithm="HS256", headers={"typ": "monitors-principal+jwt"})
