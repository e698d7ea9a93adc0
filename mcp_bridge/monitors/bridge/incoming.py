"""Messages as the SDK can read them: what it can't parse it doesn't answer, and its client would wait in vain.

Its JSON parser refuses what is nested more than 200 levels deep, numbers of thousands of digits, and half of a
surrogate pair. They are mended in the message's text: what is too deep or too long becomes a text, which the tools
refuse by the parameter's name, and the half character is replaced.
"""

import re
from collections.abc import AsyncIterator
from io import TextIOWrapper
from typing import BinaryIO

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

DEEPEST_MESSAGE = 100
# So much of what is too large is read to its end all the same, in largest bodies.
FORGOTTEN_BODIES = 16
TOO_DEEP = "…nested too deeply…"
TOO_LONG = "…too many digits…"

# Begun only where a number begins, so that the digits of one are looked at once.
_LONG_NUMBER = r"(?<![0-9])-?[0-9]{400,}"
_HAS_LONG_NUMBER = re.compile(_LONG_NUMBER)
_TOKEN = re.compile(rf'"(?:[^"\\]|\\.)*"?|[\[{{\]}}]|{_LONG_NUMBER}', re.DOTALL)
_ESCAPE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\\.")
_PAIR_LENGTH = 12
_HALF_LENGTH = 6


def readable(text: str) -> str:
    """A JSON text, mended if need be."""
    if "\\u" in text:
        text = _ESCAPE.sub(_whole, text)
    # Within strings they count as well, and are left alone all the same.
    if text.count("[") + text.count("{") > DEEPEST_MESSAGE or _HAS_LONG_NUMBER.search(text):
        text = _mended(text)
    return text


def _whole(escape: re.Match[str]) -> str:
    return "\\ufffd" if len(escape.group()) == _HALF_LENGTH else escape.group()


def _mended(text: str) -> str:
    parts, depth, done, cut_at = [], 0, 0, 0
    for token in _TOKEN.finditer(text):
        mark = token.group()[0]
        if mark in "[{":
            depth += 1
            if depth == DEEPEST_MESSAGE + 1:
                cut_at = token.start()
        elif mark in "]}":
            depth -= 1
            if depth == DEEPEST_MESSAGE:
                parts += [text[done:cut_at], f'"{TOO_DEEP}"']
                done = token.end()
        elif mark != '"' and depth <= DEEPEST_MESSAGE:
            parts += [text[done : token.start()], f'"{TOO_LONG}"']
            done = token.end()
    return "".join([*parts, text[done:]])


class ReadableLines(anyio.AsyncFile[str]):
    """Standard input, line by line."""

    def __init__(self, binary: BinaryIO) -> None:
        super().__init__(TextIOWrapper(binary, encoding="utf-8", errors="replace"))

    async def __aiter__(self) -> AsyncIterator[str]:
        """The lines, mended."""
        while line := await self.readline():
            yield readable(line)


class ReadableBodies:
    """An HTTP application. The bodies of requests to one path are mended, but for those that are too large."""

    def __init__(self, app: ASGIApp, path: str, largest: int) -> None:
        self._app = app
        self._path, self._largest = path, largest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes a request on."""
        if scope["type"] != "http" or scope["method"] != "POST" or scope["path"] != self._path:
            await self._app(scope, receive, send)
            return
        messages, body, whole = [], b"", False
        while not whole and len(body) <= self._largest:
            message = await receive()
            messages.append(message)
            body += message.get("body", b"")
            whole = not message.get("more_body", False)
        if not whole:
            await self._read_on(receive)
        elif messages[-1]["type"] == "http.request":
            messages = [{"type": "http.request", "body": _readable_bytes(body), "more_body": False}]
        waiting = iter(messages)

        async def receive_again() -> Message:
            return next(waiting, None) or await receive()

        await self._app(scope, receive_again, send)

    async def _read_on(self, receive: Receive) -> None:
        """Reads the rest and forgets it: who is still sending when the connection closes never sees the refusal."""
        left, more = FORGOTTEN_BODIES * self._largest, True
        while more and left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            more = message.get("more_body", False)


def _readable_bytes(body: bytes) -> bytes:
    try:
        return readable(body.decode()).encode()
    except UnicodeDecodeError:
        return body
