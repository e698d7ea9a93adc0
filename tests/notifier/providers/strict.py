"""What the doubles of providers share: they take what the provider's documentation allows, and refuse all else."""

import json
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import urlsplit

from tests.notifier.world import Received, Reply


class Refused(Exception):
    """The provider's answer to what it doesn't take."""

    def __init__(self, status: int, reason: str, reply: Reply | None = None) -> None:
        super().__init__(reason)
        self.reply = reply or Reply(status, body=reason.encode())


class Provider(ABC):
    """A provider's endpoint, which answers a request as the provider would."""

    def __init__(self) -> None:
        self.refusals: list[str] = []

    @abstractmethod
    def take(self, received: Received) -> Reply:
        """The answer to what is taken. Raises Refused."""

    def __call__(self, received: Received) -> Reply:
        """The answer to anything."""
        try:
            return self.take(received)
        except Refused as refused:
            self.refusals.append(str(refused))
            return refused.reply


def demand(holds: bool, reason: str, status: int = 400) -> None:
    """Refuses what isn't as documented."""
    if not holds:
        raise Refused(status, reason)


def length(text: str) -> int:
    """Characters as JavaScript, Java and .NET count them, which is never less than others do."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def demand_text(value: Any, most: int, name: str, *, least: int = 1) -> None:
    """A text of so many characters."""
    demand(isinstance(value, str), f"{name}: {value!r} isn't a text")
    demand(least <= length(value) <= most, f"{name}: {len(value)} characters")


def demand_keys(value: Any, known: set[str], name: str) -> None:
    """An object that has no other keys."""
    demand(isinstance(value, dict) and set(value) <= known, f"{name}: {value!r} has unknown keys")


def demand_link(value: Any, name: str) -> None:
    """A URL that a browser opens."""
    demand(isinstance(value, str) and urlsplit(value).scheme in ("http", "https"), f"{name}: {value!r} isn't a link")
    demand(bool(urlsplit(value).hostname) and " " not in value, f"{name}: {value!r} isn't a link")


def read_json(received: Received, most: int) -> Any:
    """The body, if it's JSON of at most so many bytes and says so."""
    demand(received.method == "POST", "not a POST", 405)
    demand(received.headers.get("content-type", "").split(";")[0] == "application/json", "not JSON", 415)
    demand(len(received.body) <= most, f"{len(received.body)} bytes", 413)
    try:
        return json.loads(received.body)
    except ValueError:
        raise Refused(400, "not JSON") from None
