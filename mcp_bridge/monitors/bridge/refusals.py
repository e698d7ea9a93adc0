"""What a request over HTTP is answered with instead of being let in."""

import json
from collections.abc import Mapping

from starlette.types import Send


class Refusal(Exception):
    """A status with what is wrong, as OAuth words it."""

    def __init__(self, status: int, error: str, description: str, headers: Mapping[str, str]) -> None:
        super().__init__(description)
        self.status, self.error, self.description, self.headers = status, error, description, headers

    async def send(self, send: Send) -> None:
        """Answers with it."""
        body = json.dumps({"error": self.error or "unauthorized", "error_description": self.description}).encode()
        headers = {"content-type": "application/json", "content-length": str(len(body)), **self.headers}
        encoded = [(name.encode(), value.encode("ascii", "replace")) for name, value in headers.items()]
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": body})


def bearer_of(authorizations: list[str]) -> str:
    """The credential of the one `Authorization: Bearer` header; empty if there is none, more than one header, or
    anything in it that no credential has, nor the mesh's metadata could carry."""
    scheme, _, credential = (authorizations[0] if len(authorizations) == 1 else "").partition(" ")
    credential = credential.strip()
    return credential if scheme.lower() == "bearer" and credential.isascii() and credential.isprintable() else ""
