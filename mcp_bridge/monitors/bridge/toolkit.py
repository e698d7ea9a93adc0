"""How a tool is made, how it finds its caller, and how it answers."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, TextContent, ToolAnnotations

from monitors.bridge.client import Caller, Mesh
from monitors.bridge.errors import BridgeError
from monitors.bridge.models import Output
from monitors.bridge.parameters import Arguments, compact_schema

Vouch = Callable[[AccessToken], Callable[[], str]]


@dataclass(frozen=True)
class Bridge:
    """What all calls share: the mesh, and whether a caller without a credential may use the local key.

    `vouch` makes, of the access token that a caller was let in with, what makes credentials for the mesh.
    """

    mesh: Mesh
    lends_local_key: bool
    vouch: Vouch | None = None


ToolContext = Context[Bridge, Any]
ToolFunction = Callable[..., Awaitable[CallToolResult]]


@dataclass(frozen=True)
class Hints:
    """What a host may tell its user about a tool before it's called."""

    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False


def make_tool(
    function: ToolFunction, arguments: type[Arguments], *, title: str, description: str, hints: Hints
) -> Tool:
    """A tool whose function takes its arguments as one checked object, called `arguments`."""
    tool = Tool.from_function(
        function,
        title=title,
        description=description,
        annotations=ToolAnnotations(
            title=title,
            read_only_hint=hints.read_only,
            destructive_hint=hints.destructive,
            idempotent_hint=hints.idempotent,
            open_world_hint=False,
        ),
        structured_output=True,
    )
    tool.fn_metadata.arg_model = arguments
    tool.parameters = compact_schema(arguments.model_json_schema(by_alias=True))
    return tool


def caller_of(context: ToolContext) -> Caller:
    """The mesh with this call's credential: a word for the caller's access token, the request's own API key, or else
    the local key. Raises BridgeError."""
    bridge = context.request_context.lifespan_context
    token, vouch = get_access_token(), bridge.vouch
    if token is not None and vouch is not None:
        return Caller(bridge.mesh, vouch=vouch(token))
    scheme, _, credential = (context.headers or {}).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credential.strip().isascii() and credential.strip().isprintable():
        return Caller(bridge.mesh, credential.strip())
    if scheme or not bridge.lends_local_key:
        raise BridgeError(
            "No usable credential came with the call; nothing was changed. Configure the client to send the header "
            "`Authorization: Bearer <API key>`; `monitors keys create` makes a key."
        )
    return Caller(bridge.mesh)


def answer(output: Output, text: str) -> CallToolResult:
    """A success: the structured data and a text, each complete alone."""
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        structured_content=output.structured(),
    )


def now_nanos() -> int:
    """The wall clock, in nanoseconds since 1970."""
    return time.time_ns()
