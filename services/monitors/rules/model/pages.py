"""Page tokens: the place of the last item, bound to the query that it belongs to."""

import base64
import binascii
import hashlib
import json

from monitors.mesh.errors import InvalidField, InvalidPageToken

DEFAULT_PAGE = 50
LARGEST_PAGE = 1000
LONGEST_TOKEN = 4096


def page_size(asked: int) -> int:
    """How many items a page has. Raises InvalidField if it's negative."""
    if asked < 0:
        raise InvalidField("page_size", f"is {asked}; send 1 to {LARGEST_PAGE:,}, or 0 for {DEFAULT_PAGE}")
    return min(asked or DEFAULT_PAGE, LARGEST_PAGE)


def write_token(query: str, place: tuple[int, str]) -> str:
    """The token of the page that begins after a place. `query` is everything that must stay as it is."""
    text = json.dumps([_digest(query), *place])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(token: str, query: str) -> tuple[int, str] | None:
    """The place in a token, None for the first page. Raises InvalidPageToken."""
    if not token:
        return None
    try:
        if len(token) > LONGEST_TOKEN:
            raise ValueError(len(token))
        digest, number, text = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        # JSON can spell half of a surrogate pair, which no database takes.
        str(text).encode()
    except (ValueError, TypeError, RecursionError, binascii.Error):
        raise InvalidPageToken from None
    is_place = type(number) is int and -(2**63) <= number < 2**63 and isinstance(text, str)
    if digest != _digest(query) or not is_place:
        raise InvalidPageToken
    return number, text


def _digest(query: str) -> str:
    return hashlib.sha256(query.encode()).hexdigest()[:16]
