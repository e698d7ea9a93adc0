"""What the conformance suite calls by name: tools, resources and prompts that it says how to make.

They are added to the very server that is shipped, so that the suite drives its strict arguments, its errors, its checks
of Host and Origin and its sealed state. `python -m tests.bridge.conformance.fixtures` serves it.
"""

import io
import wave
from base64 import b64decode
from pathlib import Path
from typing import Any

import anyio
from mcp import MCPError
from mcp.server import MCPServer
from mcp.server.mcpserver import Audio, Image
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp_types import (
    AudioContent,
    Completion,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)

from monitors.bridge.main import serve_http
from monitors.bridge.settings import HttpSettings, MeshSettings
from tests.bridge.conformance.questions import AnyContext, add_questions, fixture, question, said_by_user

PIXEL = b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==")
MISSING_CAPABILITY = -32021
PAUSE = 0.05
"""Between messages of one call, in seconds, as the suite asks for."""


def add_fixtures(server: MCPServer[Any]) -> None:
    """Adds everything."""
    for add in (_contents, _messages, add_questions, _resources, _prompts, _legacy_methods):
        add(server)


def _silence() -> bytes:
    sound = io.BytesIO()
    with wave.open(sound, "wb") as file:
        file.setparams((1, 1, 8_000, 0, "NONE", ""))
        file.writeframes(b"\x80" * 8)
    return sound.getvalue()


def _embedded(uri: str, text: str, mime_type: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(type="resource", resource=TextResourceContents(uri=uri, mime_type=mime_type, text=text))


def _contents(server: MCPServer[Any]) -> None:
    image = Image(data=PIXEL, format="png").to_image_content()
    audio = Audio(data=_silence(), format="wav").to_audio_content()

    @fixture(server)
    def test_simple_text() -> str:
        return "This is a simple text response for testing."

    @fixture(server)
    def test_image_content() -> list[ImageContent]:
        return [image]

    @fixture(server)
    def test_audio_content() -> list[AudioContent]:
        return [audio]

    @fixture(server)
    def test_embedded_resource() -> list[EmbeddedResource]:
        return [_embedded("test://embedded-resource", "This is an embedded resource content.")]

    @fixture(server)
    def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        text = TextContent(type="text", text="Multiple content types test:")
        mixed = _embedded("test://mixed-content-resource", '{"test": "data", "value": 123}', "application/json")
        return [text, image, mixed]

    @fixture(server)
    def test_error_handling() -> str:
        raise RuntimeError("This tool intentionally returns an error for testing")


def _messages(server: MCPServer[Any]) -> None:
    async def say(context: AnyContext, *texts: str) -> None:
        for text in texts:
            await context.log("info", text)
            await anyio.sleep(PAUSE)

    @fixture(server)
    async def test_tool_with_logging(context: AnyContext) -> str:
        await say(context, "Tool execution started", "Tool processing data", "Tool execution completed")
        return "Said three times."

    @fixture(server)
    async def test_logging_tool(context: AnyContext) -> str:
        await say(context, "Only where a level was asked for")
        return "Said once."

    @fixture(server)
    async def test_tool_with_progress(context: AnyContext) -> str:
        for step in (0, 50, 100):
            await context.report_progress(step, 100, f"Completed step {step} of 100")
            await anyio.sleep(PAUSE)
        return "Done."

    @fixture(server)
    async def test_missing_capability(context: AnyContext) -> str:
        capabilities = context.client_capabilities
        if capabilities is None or capabilities.sampling is None:
            raise MCPError(
                code=MISSING_CAPABILITY, message="This needs sampling", data={"requiredCapabilities": {"sampling": {}}}
            )
        return "The client can sample."


def _resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def static_binary() -> bytes:
        return PIXEL

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:
        return f'{{"id": "{id}", "templateTest": true, "data": "Data for ID: {id}"}}'

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:
        return "Watched resource content"


def _prompts(server: MCPServer[Any]) -> None:
    @server.prompt(description="For the conformance suite")
    def test_simple_prompt() -> UserMessage:
        return UserMessage("This is a simple prompt for testing.")

    @server.prompt(description="For the conformance suite")
    def test_prompt_with_arguments(arg1: str, arg2: str) -> UserMessage:
        return UserMessage(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'")

    @server.prompt(description="For the conformance suite")
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803
        embedded = _embedded(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(embedded), UserMessage("Please process the embedded resource above.")]

    @server.prompt(description="For the conformance suite")
    def test_prompt_with_image() -> list[UserMessage]:
        return [UserMessage(Image(data=PIXEL, format="png")), UserMessage("Please analyze the image above.")]

    @server.prompt(description="For the conformance suite")
    async def test_input_required_result_prompt(context: AnyContext) -> UserMessage | InputRequiredResult:
        said = said_by_user(context, "user_context", "context")
        if said is None:
            asked = question("What context should the prompt use?", "context")
            return InputRequiredResult(input_requests={"user_context": asked})
        return UserMessage(f"Use this context: {said}")


def _legacy_methods(server: MCPServer[Any]) -> None:
    # The SDK's server has no public way to serve what the later revision dropped.
    low_level = server._lowlevel_server

    async def accept(context: Any, parameters: Any) -> EmptyResult:
        return EmptyResult()

    low_level.add_request_handler("logging/setLevel", SetLevelRequestParams, accept)
    low_level.add_request_handler("resources/subscribe", SubscribeRequestParams, accept)
    low_level.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accept)
    if low_level.get_request_handler("completion/complete") is None:

        @server.completion()  # type: ignore[no-untyped-call, untyped-decorator]
        async def complete(reference: Any, argument: Any, context: Any) -> Completion:
            return Completion(values=[])


def main() -> None:
    """Serves the shipped server with the fixtures on a free port of this machine. There is no mesh behind it."""
    serve_http(MeshSettings(address="127.0.0.1:1", key_file=Path("/nonexistent")), HttpSettings(port=0), add_fixtures)


if __name__ == "__main__":
    main()
