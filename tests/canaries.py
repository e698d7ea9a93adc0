"""Secrets that are recognised wherever they stand, and all that is searched for them."""

import base64
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote


def canary(name: str) -> str:
    """A secret of 40 characters that is found again wherever it stands."""
    return f"canary{name}{secrets.token_hex(20)}"[:40]


@dataclass
class Canaries:
    """The secrets, and everything in which none of them may stand."""

    secrets: dict[str, str] = field(default_factory=dict)
    seen: dict[str, bytes] = field(default_factory=dict)

    def new(self, name: str) -> str:
        """A secret to search for."""
        self.secrets[name] = canary(name)
        return self.secrets[name]

    def see(self, where: str, what: str | bytes) -> None:
        """Keeps something to search."""
        self.seen[where] = self.seen.get(where, b"") + (what.encode() if isinstance(what, str) else what)

    def found(self) -> list[tuple[str, str]]:
        """Which secret stands where."""
        return [
            (name, where)
            for name, secret in self.secrets.items()
            for where, text in self.seen.items()
            if any(form in text for form in forms(secret))
        ]


def forms(secret: str) -> set[bytes]:
    """How a secret looks: as it is, in an URL, in hexadecimal, and in base64 wherever it begins there."""
    plain = secret.encode()
    encoded = {base64.b64encode(b"x" * shift + plain)[4:-4] for shift in range(3)}
    return {plain, quote(secret, safe="").encode(), plain.hex().encode(), *encoded}


def stored(home: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the mesh but those in which keys belong."""
    for file in sorted(home.rglob("*")):
        if file.is_file() and file.name not in ("key", "master.key") and file.suffix != ".key":
            yield file.name, file.read_bytes()
