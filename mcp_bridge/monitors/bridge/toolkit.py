"""How a tool is made, how it finds its caller, and how it answers."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from mcp_types.version import is_version_at_least

from monitors.bridge.client import Caller, Mesh
from monitors.bridge.errors import BridgeError
from monitors.bridge.fitting import LONGEST_ANSWER, shorten
from monitors.bridge.output import Answer
from monitors.bridge.parameters import Arguments, compact_schema
from monitors.bridge.source import Source, called_tool

if TYPE_CHECKING:
    from monitors.bridge.push import Push

Vouch = Callable[[AccessToken], Callable[[], str]]
# The first revision whose questions travel so.
QUESTION_AS_RESULT = "2026-07-28"


@dataclass(frozen=True)
class Bridge:
    """What all calls share: the mesh, whether a caller without a credential may use the local key, and who listens.

    `vouch` makes, of the access token that a caller was let in with, what makes credentials for the mesh.
    """

    mesh: Mesh
    lends_local_key: bool
    push: Push
    vouch: Vouch | None = None


ToolContext = Context[Bridge, Any]
ToolFunction = Callable[..., Awaitable[CallToolResult]]
AnswerT = TypeVar("AnswerT", bound=Answer)


@dataclass(frozen=True)
class Hints:
    """What a host may tell its user about a tool before it's called."""

    read_only: bool = False
    destructive: bool = False
    idempotent: bool = False


def make_tool(
    function: ToolFunction,
    arguments: type[Arguments],
    *,
    title: str,
    description: str,
    hints: Hints,
    meta: dict[str, Any] | None = None,
) -> Tool:
    """A tool whose function takes its arguments as one checked object, called `arguments`. `meta` is its `_meta`."""
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
        meta=meta,
        structured_output=True,
    )
    tool.fn_metadata.arg_model = arguments
    tool.parameters = compact_schema(arguments.model_json_schema(by_alias=True))
    return tool


def caller_of(context: ToolContext) -> Caller:
    """The mesh with this call's credential: a word for the caller's access token, the request's own API key, or else
    the local key. Raises BridgeError."""
    bridge = context.request_context.lifespan_context
    token, vouch, source = get_access_token(), bridge.vouch, _source_of(context)
    if token is not None and vouch is not None:
        return Caller(bridge.mesh, vouch=vouch(token), source=source)
    scheme, _, credential = (context.headers or {}).get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credential.strip().isascii() and credential.strip().isprintable():
        return Caller(bridge.mesh, credential.strip(), source=source)
    if scheme or not bridge.lends_local_key:
        raise BridgeError(
            "No usable credential came with the call; nothing was changed. Configure the client to send the header "
            "`Authorization: Bearer <API key>`; `monitors keys create` makes a key."
        )
    return Caller(bridge.mesh, source=source)


def _source_of(context: ToolContext) -> Source:
    params = context.session.client_params
    client = params.client_info if params else None
    return Source(client.name, client.version, called_tool()) if client else Source(tool=called_tool())


def takes_questions_as_result(context: ToolContext) -> bool:
    """Whether a question for the user travels as the result of the call, and needs no way back to the client."""
    protocol = context.protocol_version
    return protocol is not None and is_version_at_least(protocol, QUESTION_AS_RESULT)


def can_be_asked(context: ToolContext) -> bool:
    """Whether a question for the user reaches the client on this connection."""
    return takes_questions_as_result(context) or context.session.can_send_request


def picture(png: bytes) -> ImageContent:
    """A PNG as clients take it."""
    return ImageContent(type="image", data=b64encode(png).decode(), mime_type="image/png")


def answer(
    output: AnswerT,
    render: Callable[[AnswerT, int], str],
    now: int,
    *,
    longest: int = LONGEST_ANSWER,
    image: ImageContent | None = None,
) -> CallToolResult:
    """A success: the structured data and a text, each complete alone and short enough; the text comes first.

    What doesn't fit is left out of both, and `output` says so.
    """
    shorten(output, render, now, longest)
    text = TextContent(type="text", text=render(output, now))
    return CallToolResult(content=[text, *([image] if image else [])], structured_content=output.structured())


def now_nanos() -> int:
    """The wall clock, in nanoseconds since 1970."""
    return time.time_ns()
