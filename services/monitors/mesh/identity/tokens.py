"""JWTs before anybody has checked them: enough is read to see whose business they are."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jwt


class Unverified(NamedTuple):
    """What a JWT says of itself. None of it is to be believed."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


def read_unverified(text: str) -> Unverified | None:
    """What a text says if it has the form of a JWT; None if it hasn't."""
    if text.count(".") != 2:
        return None
    try:
        # nosemgrep: token-read-without-its-checks (only to see whose it is to verify)
        decoded = jwt.decode_complete(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, RecursionError):
        return None
    return Unverified(decoded["header"], decoded["payload"])


def refusal_of(error: jwt.PyJWTError, *, audience: str = "", issuer: str = "") -> str:
    """Why a token isn't taken, in words that hold nothing of it; `audience` and `issuer` are the expected ones."""
    match error:
        case jwt.ExpiredSignatureError():
            return "it has expired"
        case jwt.ImmatureSignatureError():
            return "it isn't valid yet"
        case jwt.InvalidAudienceError():
            return f"it isn't meant for {audience}" if audience else "it is meant for somebody else"
        case jwt.InvalidIssuerError():
            return f"it isn't of the issuer {issuer}"
        case jwt.MissingRequiredClaimError():
            return f"it has no claim {error.claim!r}"
        case jwt.InvalidSignatureError():
            return "its signature is wrong"
        case jwt.InvalidAlgorithmError():
            return "it isn't signed in a way that is taken"
    return "it can't be read, or its key can't be used"
