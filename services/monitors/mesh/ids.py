"""Ids that a person can read out: a kind, an underscore, and 12 characters of an unambiguous alphabet (60 bits)."""

import secrets

# Crockford's base 32: no i, l, o or u, so nothing is mistaken for 1, 0 or v.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
# From a random byte to a character; 32 divides 256, so all are equally likely.
_CHARACTERS = bytes(ord(ALPHABET[byte % 32]) for byte in range(256))


def new_id(kind: str) -> str:
    """A new id such as `rule_7k2m9x4cqv0d`."""
    return f"{kind}_{secrets.token_bytes(12).translate(_CHARACTERS).decode()}"
