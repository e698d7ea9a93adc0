"""Page tokens: a position in a list, bound to the query that it belongs to."""

import base64
import binascii
import hashlib
import json
from collections.abc import Sequence

from monitors.mesh.errors import InvalidField, InvalidPageToken

MAX_PAGE = 1000
DEFAULT_PAGE = 100


def page_limit(page_size: int) -> int:
    """How many rows to show. Raises InvalidField."""
    if page_size < 0:
        raise InvalidField("page_size", f"{page_size} is negative; send 1 to {MAX_PAGE:,}, or 0 for {DEFAULT_PAGE}")
    return min(page_size or DEFAULT_PAGE, MAX_PAGE)


def make_token(position: Sequence[str | int], query: str) -> str:
    """The token of the page after `position`."""
    return base64.urlsafe_b64encode(json.dumps([_digest(query), *position]).encode()).decode()


def read_token(token: str, query: str, types: Sequence[type]) -> list[str | int] | None:
    """The position in a token, None for the first page. Raises InvalidPageToken."""
    if not token:
        return None
    try:
        parts = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (ValueError, binascii.Error, RecursionError):
        raise InvalidPageToken from None
    if not isinstance(parts, list) or [type(part) for part in parts] != [str, *types] or parts[0] != _digest(query):
        raise InvalidPageToken
    return parts[1:]


def list_of(tenant: str, query: str) -> str:
    """What a page token belongs to: another tenant's isn't one."""
    return repr((tenant, query))


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:8]
