"""API keys as texts: made, taken apart, and hashed."""

import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

from monitors.mesh.errors import Unauthenticated
from monitors.mesh.ids import new_id

KEY_PREFIX = "alk_"


@dataclass(frozen=True)
class ApiKey:
    """An API key, `alk_local_<id>_<43 random characters>_<checksum>`. Only its hash is ever stored."""

    key_id: str
    text: str = field(repr=False)

    def digests(self, peppers: Sequence[str] = ()) -> tuple[bytes, ...]:
        """What may be stored of it, 32 bytes each; for a new key the first. 256 random bits need no slow hash.

        With peppers it's HMAC-SHA-256 under each of them, so that who can read the database can't try whether a text is
        a key; and the bare SHA-256 comes last, for keys that were made before there was a pepper. As long as that is
        taken, who can write to the database can still make a key.
        """
        text = self.text.encode()
        peppered = [hmac.digest(pepper.encode(), text, "sha256") for pepper in peppers]
        return (*peppered, hashlib.sha256(text).digest())


def new_api_key(environment: str = "local") -> ApiKey:
    """Makes a key. The checksum lets a scanner and a typing error be told from a wrong key without asking anybody."""
    key_id = new_id("key")
    body = f"{KEY_PREFIX}{environment}_{key_id.removeprefix('key_')}_{secrets.token_urlsafe(32)}"
    return ApiKey(key_id, f"{body}_{binascii.crc32(body.encode()):08x}")


def parse_api_key(text: str) -> ApiKey:
    """The key's id from its text. Raises Unauthenticated if it isn't a key at all or is damaged."""
    body, _, checksum = text.rpartition("_")
    parts = body.split("_", 3)
    if len(parts) != 4 or parts[0] != "alk" or f"{binascii.crc32(body.encode()):08x}" != checksum:
        raise Unauthenticated("the credential isn't an API key or is damaged; it begins with `alk_` and must be whole")
    return ApiKey(f"key_{parts[2]}", text)
