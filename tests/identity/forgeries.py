"""Tokens that nobody should take, made as an attacker makes them."""

import base64
import hmac
import json
from typing import Any

from tests.bridge.authorization_server import SigningKey


def confused(claims: dict[str, Any], key: SigningKey) -> str:
    """A token signed by HMAC with an issuer's public key, for whoever takes the algorithm from the token."""
    signed = f"{_encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': key.id})}.{_encoded(claims)}"
    signature = hmac.digest(key.pem, signed.encode(), "sha256")
    return f"{signed}.{base64.urlsafe_b64encode(signature).decode().rstrip('=')}"


def unsigned(claims: dict[str, Any], algorithm: str = "none") -> str:
    """A token without a signature."""
    return f"{_encoded({'alg': algorithm, 'typ': 'JWT'})}.{_encoded(claims)}."


def tampered(token: str) -> str:
    """The same with another signature, or another last character where there is none."""
    body, separator, signature = token.rpartition(".")
    if not separator:
        return token[:-1] + ("0" if token[-1] != "0" else "1")
    return f"{body}.{'A' * len(signature)}"


def _encoded(part: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
