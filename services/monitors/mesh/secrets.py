"""Secrets at rest: sealed with AES-256-GCM and bound to their row."""

import hmac
import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from monitors.mesh.masking import Secret
from monitors.mesh.master_keys import KEY_ID_BYTES, MasterKey

NONCE_BYTES = 12
VERSION = b"\x01"
HEADER_BYTES = len(VERSION) + KEY_ID_BYTES


class SealBroken(Exception):
    """What was sealed can't be opened: another key, another row, or a changed text."""


class Sealer:
    """Seals texts with the first key of a ring, and opens what any key of the ring has sealed.

    What is sealed is version (1 byte), key id (4), nonce (12), ciphertext and tag. The associated data names the row,
    `tenant|table|row|field`, so that a text copied into another row doesn't open there.
    """

    def __init__(self, ring: Sequence[MasterKey]) -> None:
        self._ciphers = {VERSION + key.id: AESGCM(key.key) for key in ring}
        self._names = {VERSION + key.id: key.name for key in ring}
        self._header = VERSION + ring[0].id
        # That of the oldest key: it stays the same when another comes before it.
        self.fingerprint_key = hmac.digest(ring[-1].key, b"fingerprint", "sha256")
        """What fingerprints are made with; whoever keeps it makes the same ones when all keys are others."""
        self.link_keys = tuple(hmac.digest(key.key, b"channel links", "sha256") for key in ring)
        """The first signs links to the page on which channels are added, any of them makes a link genuine."""

    @property
    def key_name(self) -> str:
        """The name of the key that seals."""
        return self._names[self._header]

    @property
    def key_names(self) -> list[str]:
        """The names of all keys, the one that seals first."""
        return list(self._names.values())

    def seal(self, plaintext: bytes, associated: str) -> bytes:
        """The sealed text, to be opened with the same associated data only."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return self._header + nonce + self._ciphers[self._header].encrypt(nonce, plaintext, associated.encode())

    def open(self, sealed: bytes, associated: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        cipher = self._ciphers.get(sealed[:HEADER_BYTES])
        if cipher is None:
            raise SealBroken("it was sealed with a key that isn't there")
        nonce, ciphertext = sealed[HEADER_BYTES:][:NONCE_BYTES], sealed[HEADER_BYTES + NONCE_BYTES :]
        try:
            return cipher.decrypt(nonce, ciphertext, associated.encode())
        except (InvalidTag, ValueError):
            raise SealBroken("it was changed, or belongs to another row") from None

    def is_current(self, sealed: bytes) -> bool:
        """Whether it was sealed with the key that seals now."""
        return sealed[:HEADER_BYTES] == self._header

    def key_name_of(self, sealed: bytes) -> str:
        """The name of the key that sealed it; `unknown` and its id for a key that isn't there."""
        header = sealed[:HEADER_BYTES]
        return self._names.get(header) or f"unknown {header[len(VERSION) :].hex()}"

    def digest(self, purpose: str, text: str) -> bytes:
        """32 bytes that only whoever has the keys can make of a text; the same when the master keys are others."""
        return hmac.digest(self.fingerprint_key, f"{purpose}\0{text}".encode(), "sha256")

    def fingerprint(self, secret: Secret) -> str:
        """Eight hexadecimal characters that tell one secret from another and nothing else about it."""
        return hmac.digest(self.fingerprint_key, secret.reveal().encode(), "sha256").hex()[:8]
