"""What a call tells the mesh about where it comes from, for the mesh's audit."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from urllib.parse import quote

LONGEST_NAME = 100

_tool: ContextVar[str] = ContextVar("tool", default="")


@dataclass(frozen=True)
class Source:
    """An MCP client, as it calls itself, and the tool that it called; both empty where that isn't known."""

    client: str = ""
    client_version: str = ""
    tool: str = ""

    def metadata(self) -> Iterator[tuple[str, str]]:
        """The metadata of a call, percent-encoded where it isn't plain ASCII."""
        yield "x-monitors-client", f"monitors-mcp/{_own_version()}"
        if self.client:
            name, number = (quote(text[:LONGEST_NAME], safe="") for text in (self.client, self.client_version))
            yield "x-monitors-mcp-client", f"{name}/{number}" if number else name
        if self.tool:
            yield "x-monitors-tool", quote(self.tool[:LONGEST_NAME], safe="")


UNKNOWN = Source()


@contextmanager
def calling(tool: str) -> Iterator[None]:
    """What is done within is done for a call of the tool."""
    token = _tool.set(tool)
    try:
        yield
    finally:
        _tool.reset(token)


def called_tool() -> str:
    """The tool that is being called; empty outside of a call."""
    return _tool.get()


@cache
def _own_version() -> str:
    return version("monitors-mcp")
