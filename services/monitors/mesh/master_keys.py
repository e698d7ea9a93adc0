"""Master keys: what secrets are sealed with. One in a file that is made at first use, or several that an operator
gives, so that one can take the place of another while everything goes on."""

import base64
import binascii
import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

KEY_BYTES = 32
KEY_ID_BYTES = 4
MOST_KEYS = 16
FILE_KEY = "master.key"
"""The name of the key in the file; no key that is given can have it, since names have no dots."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,32}")
FORM = (
    "must be `name:key`, several with commas between, the one that seals first: a name is 1 to 32 letters, digits, `_` "
    "or `-`, a key 32 bytes in base64, for example from `openssl rand -base64 32`"
)


class KeyUnusable(Exception):
    """A master key can't be read. The message names the file and the fix."""


class KeysMalformed(ValueError):
    """The text doesn't hold keys. The message has nothing of the text."""


@dataclass(frozen=True)
class MasterKey:
    """A key and what its operator calls it."""

    name: str
    key: bytes = field(repr=False)

    @property
    def id(self) -> bytes:
        """What stands before each text that is sealed with it; it follows from the key and tells nothing of it."""
        return hashlib.sha256(b"key id" + self.key).digest()[:KEY_ID_BYTES]


def read_keys(text: str) -> tuple[MasterKey, ...]:
    """The keys of a setting: `name:base64` between commas or line breaks, the first one seals. Raises KeysMalformed."""
    parts = [part.strip() for part in re.split(r"[,\n]", text) if part.strip()]
    if len(parts) > MOST_KEYS:
        raise KeysMalformed(f"has {len(parts)} keys; {MOST_KEYS} at most, and those that seal nothing any more can go")
    keys = tuple(_read_key(part, number) for number, part in enumerate(parts, 1))
    for what, values in (("name", [key.name for key in keys]), ("key", [key.key for key in keys])):
        if len(set(values)) < len(values):
            raise KeysMalformed(f"has the same {what} twice; each key needs a name of its own, and stands there once")
    return keys


def _read_key(part: str, number: int) -> MasterKey:
    # Whatever is wrong, the part may be a key: nothing of it is told.
    name, _, text = part.partition(":")
    try:
        key = base64.b64decode(text.translate(str.maketrans("-_", "+/")), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not _NAME.fullmatch(name) or len(key) != KEY_BYTES:
        raise KeysMalformed(f"{FORM}; number {number} isn't")
    return MasterKey(name, key)


def key_ring(given: Sequence[MasterKey], file: Path) -> tuple[MasterKey, ...]:
    """The keys that there are, the one that seals first: those that are given, then the file's.

    If none is given, the file is made (32 random bytes, mode 0600) unless it's there. Raises KeyUnusable.
    """
    try:
        if not file.exists():
            if given:
                return tuple(given)
            _make_key(file)
        key = file.read_bytes()
    except OSError as error:
        raise KeyUnusable(f"the master key {file} can't be read or made ({error.strerror}); mend its folder") from error
    if len(key) != KEY_BYTES:
        raise KeyUnusable(
            f"the master key {file} has {len(key)} bytes instead of {KEY_BYTES}: restore it from a backup. "
            "Without it the secrets that it sealed must be entered again; to accept that, remove the file"
        )
    known = any(each.key == key for each in given)
    return (*given,) if known else (*given, MasterKey(FILE_KEY, key))


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
