"""Secrets at rest: sealed with AES-256-GCM and bound to their row."""

import hashlib
import hmac
import os
import secrets
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from monitors.mesh.masking import Secret

KEY_BYTES = 32
NONCE_BYTES = 12
KEY_ID_BYTES = 4
VERSION = b"\x01"


class KeyUnusable(Exception):
    """The master key can't be read. The message names the file and the fix."""


class SealBroken(Exception):
    """What was sealed can't be opened: another key, another row, or a changed text."""


class Sealer:
    """Seals texts with the master key in `key_file`, which it makes (32 random bytes, mode 0600) at first use.

    What is sealed is version (1 byte), key id (4), nonce (12), ciphertext and tag. The associated data names the row,
    `tenant|table|row|field`, so that a text copied into another row doesn't open there.
    """

    def __init__(self, key_file: Path) -> None:
        key = _load_key(key_file)
        self._cipher = AESGCM(key)
        self._key_id = hashlib.sha256(b"key id" + key).digest()[:KEY_ID_BYTES]
        self._fingerprint_key = hmac.digest(key, b"fingerprint", "sha256")
        self.link_key = hmac.digest(key, b"channel links", "sha256")
        """Signs links to the page on which channels are added; the same for all that share the master key."""

    def seal(self, plaintext: bytes, associated: str) -> bytes:
        """The sealed text, to be opened with the same associated data only."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return VERSION + self._key_id + nonce + self._cipher.encrypt(nonce, plaintext, associated.encode())

    def open(self, sealed: bytes, associated: str) -> bytes:
        """What was sealed. Raises SealBroken."""
        header, nonce, ciphertext = sealed[:5], sealed[5 : 5 + NONCE_BYTES], sealed[5 + NONCE_BYTES :]
        if header != VERSION + self._key_id:
            raise SealBroken("it was sealed with another key")
        try:
            return self._cipher.decrypt(nonce, ciphertext, associated.encode())
        except (InvalidTag, ValueError):
            raise SealBroken("it was changed, or belongs to another row") from None

    def fingerprint(self, secret: Secret) -> str:
        """Eight hexadecimal characters that tell one secret from another and nothing else about it."""
        return hmac.digest(self._fingerprint_key, secret.reveal().encode(), "sha256").hex()[:8]


def _load_key(path: Path) -> bytes:
    try:
        if not path.exists():
            _make_key(path)
        key = path.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"the master key {path} can't be read or made ({error.strerror}); mend its folder") from error
    if len(key) != KEY_BYTES:
        raise KeyUnusable(
            f"the master key {path} has {len(key)} bytes instead of {KEY_BYTES}: restore it from a backup. "
            "Without it the secrets of all channels must be entered again; to accept that, remove the file"
        )
    return key


def _make_key(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, secrets.token_bytes(KEY_BYTES))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        # A link, unlike a rename, never replaces the key that another process has made meanwhile.
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
