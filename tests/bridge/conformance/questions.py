"""Fixtures that ask the client's user, its model or its folders: as a result since 2026-07-28, by a request before."""

from collections.abc import Callable
from typing import Any, TypeVar

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp_types import (
    CallToolResult,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)
from pydantic import BaseModel, Field

AnyContext = Context[Any, Any]
Function = TypeVar("Function", bound=Callable[..., Any])


def add_questions(server: MCPServer[Any]) -> None:
    """Adds everything that asks."""
    _requests(server)
    _results(server)
    _results_with_state(server)


def fixture(server: MCPServer[Any], name: str | None = None) -> Callable[[Function], Function]:
    """Decorates a function, which becomes a tool of its name or of the name given."""
    return server.tool(name=name, description="For the conformance suite", structured_output=False)


class Response(BaseModel):
    """An answer in the user's words."""

    response: str = Field(description="User's response")


class Defaults(BaseModel):
    """A field of each primitive type with a default."""

    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: str = Field("active", json_schema_extra={"enum": ["active", "inactive", "pending"]})
    verified: bool = True


def _titled(**options: str) -> list[dict[str, str]]:
    return [{"const": name, "title": title} for name, title in options.items()]


class Choices(BaseModel):
    """The five forms of a choice."""

    untitledSingle: str = Field(json_schema_extra={"enum": ["option1", "option2", "option3"]})  # noqa: N815
    titledSingle: str = Field(json_schema_extra={"oneOf": _titled(value1="First", value2="Second")})  # type: ignore[dict-item] # noqa: N815
    legacyEnum: str = Field(json_schema_extra={"enum": ["opt1", "opt2"], "enumNames": ["One", "Two"]})  # noqa: N815
    untitledMulti: list[str] = Field(  # noqa: N815
        json_schema_extra={"items": {"type": "string", "enum": ["option1", "option2", "option3"]}}
    )
    titledMulti: list[str] = Field(json_schema_extra={"items": {"anyOf": _titled(value1="First", value2="Second")}})  # type: ignore[dict-item] # noqa: N815


def _requests(server: MCPServer[Any]) -> None:
    async def ask(context: AnyContext, message: str, model: type[BaseModel]) -> str:
        result = await context.elicit(message, model)
        content = result.data.model_dump_json() if result.action == "accept" else "{}"
        return f"action={result.action}, content={content}"

    @fixture(server)
    async def test_sampling(prompt: str, context: AnyContext) -> str:
        message = SamplingMessage(role="user", content=TextContent(type="text", text=prompt))
        # On the stream of its own call: the other may not be open yet.
        result = await context.session.create_message(
            messages=[message], max_tokens=100, related_request_id=context.request_id
        )
        return f"LLM response: {getattr(result.content, 'text', '')}"

    @fixture(server)
    async def test_elicitation(message: str, context: AnyContext) -> str:
        return "User response: " + await ask(context, message, Response)

    @fixture(server)
    async def test_elicitation_sep1034_defaults(context: AnyContext) -> str:
        return "Elicitation completed: " + await ask(context, "Who are you?", Defaults)

    @fixture(server)
    async def test_elicitation_sep1330_enums(context: AnyContext) -> str:
        return "Elicitation completed: " + await ask(context, "What do you choose?", Choices)


def question(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def _sampling(text: str) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    return CreateMessageRequest(params=CreateMessageRequestParams(messages=[message], max_tokens=100))


def said_by_user(context: AnyContext, key: str, name: str) -> str | None:
    """What the user gave for `name` in the answer to the question `key`."""
    response = (context.input_responses or {}).get(key)
    content = response.content if isinstance(response, ElicitResult) else None
    return str(content[name]) if content and name in content else None


def _done(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)])


def _results(server: MCPServer[Any]) -> None:
    @fixture(server)
    async def test_input_required_result_elicitation(context: AnyContext) -> CallToolResult | InputRequiredResult:
        name = said_by_user(context, "user_name", "name")
        if name is None:
            return InputRequiredResult(input_requests={"user_name": question("What is your name?", "name")})
        return _done(f"Hello, {name}!")

    fixture(server, "test_streaming_elicitation")(test_input_required_result_elicitation)

    @fixture(server)
    async def test_input_required_result_sampling(context: AnyContext) -> CallToolResult | InputRequiredResult:
        response = (context.input_responses or {}).get("capital_question")
        if not isinstance(response, CreateMessageResult):
            return InputRequiredResult(input_requests={"capital_question": _sampling("What is the capital of France?")})
        return _done(getattr(response.content, "text", ""))

    @fixture(server)
    async def test_input_required_result_list_roots(context: AnyContext) -> CallToolResult | InputRequiredResult:
        response = (context.input_responses or {}).get("client_roots")
        if not isinstance(response, ListRootsResult):
            return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})
        return _done(", ".join(str(root.uri) for root in response.roots))

    @fixture(server)
    async def test_input_required_result_capabilities(context: AnyContext) -> CallToolResult | InputRequiredResult:
        capabilities = context.client_capabilities
        asked: dict[str, InputRequest] = {}
        if capabilities and capabilities.elicitation:
            asked["user_name"] = question("What is your name?", "name")
        if capabilities and capabilities.sampling:
            asked["greeting"] = _sampling("Generate a greeting")
        return InputRequiredResult(input_requests=asked) if asked else _done("Nobody can be asked.")


def _results_with_state(server: MCPServer[Any]) -> None:
    confirm = question("Please confirm", "ok", "boolean")

    @fixture(server)
    async def test_input_required_result_request_state(context: AnyContext) -> CallToolResult | InputRequiredResult:
        if context.request_state != "asked" or said_by_user(context, "confirm", "ok") is None:
            return InputRequiredResult(input_requests={"confirm": confirm}, request_state="asked")
        return _done("state-ok")

    fixture(server, "test_input_required_result_tampered_state")(test_input_required_result_request_state)

    @fixture(server)
    async def test_input_required_result_multiple_inputs(context: AnyContext) -> CallToolResult | InputRequiredResult:
        asked: dict[str, InputRequest] = {
            "user_name": question("What is your name?", "name"),
            "greeting": _sampling("Generate a greeting"),
            "client_roots": ListRootsRequest(),
        }
        if context.request_state != "asked" or not asked.keys() <= (context.input_responses or {}).keys():
            return InputRequiredResult(input_requests=asked, request_state="asked")
        return _done("All three are answered.")

    @fixture(server)
    async def test_input_required_result_multi_round(context: AnyContext) -> CallToolResult | InputRequiredResult:
        name, colour = said_by_user(context, "step1", "name"), said_by_user(context, "step2", "color")
        known = (context.request_state or "").removeprefix("name:")
        if known and colour is not None:
            return _done(f"{known} likes {colour}.")
        if name is not None:
            asked = question("Step 2: What is your favorite color?", "color")
            return InputRequiredResult(input_requests={"step2": asked}, request_state=f"name:{name}")
        asked = question("Step 1: What is your name?", "name")
        return InputRequiredResult(input_requests={"step1": asked}, request_state="name:")
