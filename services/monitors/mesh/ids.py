"""Ids that a person can read out: a kind, an underscore, and 12 characters of an unambiguous alphabet (60 bits)."""

import secrets

# Crockford's base 32: no i, l, o or u, so nothing is mistaken for 1, 0 or v.
ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(kind: str) -> str:
    """A new id such as `rule_7k2m9x4cqv0d`."""
    return f"{kind}_{''.join(secrets.choice(ALPHABET) for _ in range(12))}"
