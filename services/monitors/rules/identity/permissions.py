"""What the permissions and tiers of an existing user system mean in the mesh."""

import re
from collections.abc import Iterable, Mapping

from monitors.mesh.identity import ORDINARY_SCOPES, SCOPES
from monitors.mesh.quotas import ENTERPRISE, FREE, PRO

TIERS = (FREE, PRO, ENTERPRISE)
EVERYBODY = "*"
"""Stands for every session where a team says itself what its permissions mean."""

_READING = tuple(scope for scope in ORDINARY_SCOPES if scope.endswith(":read"))
_ALL = {
    "read": _READING,
    "view": _READING,
    # Who may change something may look at it.
    "write": ORDINARY_SCOPES,
    "*": SCOPES,
}
_NOUNS = {
    "rules": ("rules",),
    "alerts": ("alerts",),
    # Who sees monitors sees what can be asked of them, and a rule makes one known.
    "monitors": ("samples", "rules"),
    "channels": ("channels",),
    "samples": ("samples",),
}
_VERBS = {"read": ("read",), "view": ("read",), "write": ("read", "write"), "manage": ("read", "write")}
_SEPARATOR = re.compile(r"[:.]")


def scopes_of(permissions: Iterable[object], own: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """The scopes that permissions stand for; one that isn't understood stands for none.

    Understood are the mesh's own scopes, `read` and `write` for everything or for a noun (`monitors:read`,
    `alerts.write`), and `*`. `own` is what the team says of others, and goes before.
    """
    found: set[str] = set(own.get(EVERYBODY, ()))
    for permission in permissions:
        if isinstance(permission, str):
            found.update(own[permission] if permission in own else _understood(permission))
    return frozenset(found)


def _understood(permission: str) -> Iterable[str]:
    if permission in SCOPES:
        return (permission,)
    if permission in _ALL:
        return _ALL[permission]
    noun, _, verb = _SEPARATOR.sub(":", permission).partition(":")
    return (f"{each}:{kind}" for each in _NOUNS.get(noun, ()) for kind in _VERBS.get(verb, ()))


def tier_of(tier: object) -> str:
    """A user's tier here; `free` for one that has none, or none that is known."""
    return tier if isinstance(tier, str) and tier in TIERS else FREE
