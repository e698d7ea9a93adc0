"""Ids that a person can read out: a kind, an underscore, and 12 characters of an unambiguous alphabet (60 bits)."""

import secrets
from collections.abc import Iterator
from functools import cache
from itertools import product

# Crockford's base 32: no i, l, o or u, so nothing is mistaken for 1, 0 or v.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# From a random byte to a character; 32 divides 256, so all are equally likely.
_CHARACTERS = bytes(ord(ALPHABET[byte % 32]) for byte in range(256))


def new_id(kind: str) -> str:
    """A new id such as `rule_7k2m9x4cqv0d`."""
    return f"{kind}_{secrets.token_bytes(12).translate(_CHARACTERS).decode()}"


def id_series(kind: str) -> Iterator[str]:
    """New ids for things that are made together. They differ in their last characters, so that a database's index takes
    them in one place instead of a page for each; the first of a series is as random as an id of its own."""
    endings = _endings()
    while True:
        begin, first = new_id(kind)[:-3], secrets.randbelow(len(endings))
        for number in range(first, first + len(endings)):
            yield begin + endings[number % len(endings)]


@cache
def _endings() -> list[str]:
    return ["".join(characters) for characters in product(ALPHABET, repeat=3)]
