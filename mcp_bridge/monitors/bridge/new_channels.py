"""Where a rule shall tell a channel that doesn't exist yet: its user adds it on a page of the mesh, so that neither
address nor secret goes through the conversation, and the call goes on."""

import difflib
import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import uuid4

import anyio
import grpc
from mcp import MCPError
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp_types import CallToolResult, ElicitRequest, ElicitRequestURLParams, ElicitResult, InputRequiredResult

from monitors.bridge.client import Caller
from monitors.bridge.convert import clean
from monitors.bridge.errors import BridgeError, RpcFailed
from monitors.bridge.toolkit import ToolContext, caller_of, can_be_asked, now_nanos, takes_questions_as_result
from monitors.bridge.values import SECOND, from_timestamp
from monitors.v1 import rule_service_pb2 as pb

Outcome = CallToolResult | InputRequiredResult

# The key of the question in a result, and of its answer in the next call.
QUESTION = "new_channel"
# A call waits for its user, but not so long that clients give it up, which many do after a minute.
LOOK_SECONDS = 0.5
LOOKS = 90
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


async def with_new_channels(
    tool: Tool, arguments: dict[str, Any], context: ToolContext | None, call: Callable[[], Awaitable[Outcome]]
) -> Outcome:
    """Calls a tool. If channels that it names are missing, has its user add them, or says how to, and calls again."""
    try:
        return await call()
    except ToolError as error:
        failed = error.__cause__
        if context is None or not isinstance(failed, RpcFailed) or not failed.is_unknown_channel:
            raise
        names = tool.fn_metadata.validate_arguments(arguments)["arguments"].notify or []
    try:
        question = await _add(names, str(failed), context)
    except BridgeError as error:
        raise ToolError(str(error)) from error
    return question or await call()


async def _add(names: Sequence[str], text: str, context: ToolContext) -> InputRequiredResult | None:
    """The question for the user, or None once the channels are there. Raises BridgeError if they don't come."""
    caller = caller_of(context)
    known = await _known(caller)
    missing = [name for name in names if name not in known]
    if not missing:
        return None
    answer = (context.input_responses or {}).get(QUESTION)
    if isinstance(answer, ElicitResult):
        await _wait(caller, missing, text, answer.action)
        return None
    url, how = await _link(caller, missing[0])
    # A name that is nearly one that exists is a slip of whoever calls, and no matter for the user.
    is_slip = any(difflib.get_close_matches(name, known, n=1, cutoff=0.6) for name in missing)
    if not url or is_slip or not _can_open(context):
        raise BridgeError(f"{text} {how}")
    question = (
        f"Add the channel {clean(missing[0], 64)!r} for alerts. What you enter on the page stays out of the chat."
    )
    if takes_questions_as_result(context):
        request = ElicitRequest(params=ElicitRequestURLParams(message=question, url=url))
        return InputRequiredResult(input_requests={QUESTION: request})
    await _ask_now(caller, missing, f"{text} {how}", context, question, url)
    return None


async def _ask_now(
    caller: Caller, missing: Sequence[str], text: str, context: ToolContext, question: str, url: str
) -> None:
    """Asks a client of the earlier era, on the connection of the call."""
    elicitation_id = uuid4().hex
    try:
        asked = await context.elicit_url(question, url, elicitation_id)
    except (MCPError, ValueError):
        raise BridgeError(text) from None
    await _wait(caller, missing, text, asked.action)
    await context.session.send_elicit_complete(elicitation_id, context.request_id)


async def _wait(caller: Caller, missing: Sequence[str], text: str, action: str) -> None:
    """Waits until the channels are there. Raises BridgeError if the user didn't agree or takes longer."""
    if action != "accept":
        raise BridgeError(f"{text} The user didn't want to add it now; ask which channel to tell.")
    for _ in range(LOOKS):
        if set(missing) <= set(await _known(caller)):
            return
        await anyio.sleep(LOOK_SECONDS)
    raise BridgeError(f"{text} The user has the page for adding it; call again once they say that it's done.")


async def _known(caller: Caller) -> list[str]:
    response = await caller.read(caller.stub.ListChannelNames, pb.ListChannelNamesRequest())
    return [channel.name for channel in response.channels]


async def _link(caller: Caller, name: str) -> tuple[str, str]:
    """A page's URL, empty if there is none, and in words how the channel is added."""
    request = pb.CreateChannelLinkRequest(channel_name=name if _NAME.fullmatch(name) else "")
    try:
        response = await caller.read(caller.stub.CreateChannelLink, request)
    except RpcFailed as error:
        if error.code is grpc.StatusCode.PERMISSION_DENIED:
            return "", "This key may not add channels: that takes the scope channels:write."
        return "", (
            "To add it, its user runs `monitors channels create` on the mesh's machine; "
            "no address or secret belongs into this conversation."
        )
    minutes = max(round((from_timestamp(response.expire_time) - now_nanos()) / (60 * SECOND)), 1)
    return response.url, (
        f"To add it, its user opens {response.url} within {minutes} minutes and enters the address there, never in "
        "this conversation; then call again."
    )


def _can_open(context: ToolContext) -> bool:
    """Whether the client opens a page for its user, on this connection."""
    capabilities = context.client_capabilities
    elicitation = capabilities.elicitation if capabilities else None
    return elicitation is not None and elicitation.url is not None and can_be_asked(context)
