"""Nothing is deleted without consent: every answer, in both eras, over HTTP as it's served and as it could be."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from mcp import Client, MCPError
from mcp_types import ElicitResult, ErrorData, InputRequiredResult, InputResponses

from monitors.bridge.main import listen
from monitors.bridge.server import build_server
from monitors.bridge.settings import BadSetting, HttpSettings, MeshSettings, load_http_settings
from tests.bridge.backend import Backend
from tests.bridge.conftest import ERAS, Answer, answer_of
from tests.harness import LoopThread

STATE_KEY, OLD_STATE_KEY = "k" * 32, "o" * 32
HTTP_OPTIONS: dict[str, dict[str, Any]] = {
    "as served": {}, "json_response": {"json_response": True}, "stateless": {"stateless_http": True},
}  # fmt: skip
# What the user's client replies, and what becomes of the rule: deleted, kept, or an error, which keeps it too.
REPLIES = {
    "accept true": (ElicitResult(action="accept", content={"delete": True}), "deleted"),
    "accept false": (ElicitResult(action="accept", content={"delete": False}), "kept"),
    "decline": (ElicitResult(action="decline"), "kept"),
    "cancel": (ElicitResult(action="cancel"), "kept"),
    "wrong type": (ElicitResult(action="accept", content={"delete": "perhaps"}), "error"),
}
RULE = {"monitor": "mon_host", "title": "CPU is high", "condition": "cpu_percent > 90"}


@asynccontextmanager
async def serve(settings: MeshSettings, state_keys: tuple[str, ...], options: dict[str, Any]) -> AsyncIterator[str]:
    """A bridge over HTTP in this process; gives its URL."""
    app = build_server(settings, state_keys=state_keys).streamable_http_app(**options)
    # It listens before it serves, so that nobody comes too early.
    listening = listen(HttpSettings(port=0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}/mcp"
    server.should_exit = True
    await serving


@pytest.fixture(params=HTTP_OPTIONS)
def way(request: pytest.FixtureRequest) -> str:
    """How HTTP is served."""
    name: str = request.param
    return name


@pytest.fixture
def url(loop_thread: LoopThread, settings: MeshSettings, way: str) -> Iterator[str]:
    with loop_thread.opened(serve(settings, (), HTTP_OPTIONS[way])) as opened:
        yield opened


@pytest.fixture
def rule_id(backend: Backend) -> str:
    backend.add_rule("rule_cpu", "CPU is high")
    return "rule_cpu"


def answering(reply: ElicitResult, questions: list[str]) -> Callable[..., Any]:
    async def answer(context: Any, parameters: Any) -> ElicitResult:
        questions.append(parameters.message)
        return reply

    return answer


def delete(loop_thread: LoopThread, url: str, mode: str, rule_id: str, **options: Any) -> Answer:
    """Asks for the rule's deletion. Raises MCPError for an error of the protocol, which no model would see."""

    async def scenario() -> Answer:
        async with Client(url, mode=mode, **options) as client:
            return answer_of(await client.call_tool("delete_alert_rule", {"rule_id": rule_id}))

    return loop_thread.run(scenario())


@pytest.mark.parametrize("mode", ERAS)
@pytest.mark.parametrize("reply", REPLIES)
def test_the_user_decides_or_else_the_title_must_be_repeated(
    loop_thread: LoopThread, backend: Backend, url: str, way: str, mode: str, reply: str, rule_id: str
) -> None:
    answer, outcome = REPLIES[reply]
    questions: list[str] = []
    result = delete(loop_thread, url, mode, rule_id, elicitation_callback=answering(answer, questions))
    # The older era's question needs a channel back to the client, which these ways of serving don't have.
    can_ask = mode != "legacy" or way == "as served"
    assert bool(questions) is can_ask
    assert (rule_id in backend.rules) is not (can_ask and outcome == "deleted")
    if not can_ask:
        assert result.is_error
        assert "confirm_title='CPU is high'" in result.text
    elif outcome == "error":
        assert result.is_error
        assert "can't be read" in result.text
    else:
        assert result.data["deleted"] is (outcome == "deleted")


@pytest.mark.parametrize("mode", ERAS)
def test_a_client_that_cant_ask_is_told_what_to_repeat(
    loop_thread: LoopThread, backend: Backend, url: str, mode: str, rule_id: str
) -> None:
    result = delete(loop_thread, url, mode, rule_id)
    assert result.is_error
    assert "confirm_title='CPU is high'" in result.text
    assert rule_id in backend.rules


async def ask(client: Client, rule_id: str) -> InputRequiredResult:
    asked = await client.session.call_tool("delete_alert_rule", {"rule_id": rule_id}, allow_input_required=True)
    assert isinstance(asked, InputRequiredResult)
    return asked


async def consent_to(client: Client, asked: InputRequiredResult, rule_id: str) -> Answer:
    responses: InputResponses = dict.fromkeys(asked.input_requests or {}, REPLIES["accept true"][0])
    return answer_of(
        await client.session.call_tool(
            "delete_alert_rule", {"rule_id": rule_id}, input_responses=responses, request_state=asked.request_state
        )
    )


async def nobody(context: Any, params: Any) -> ElicitResult | ErrorData:
    raise AssertionError("the test answers itself")


def test_consent_to_one_rule_is_none_to_another(
    loop_thread: LoopThread, backend: Backend, settings: MeshSettings, rule_id: str
) -> None:
    backend.add_rule("rule_disk", "Disk is full")

    async def scenario() -> None:
        async with (
            serve(settings, (), {}) as url,
            Client(url, elicitation_callback=nobody) as client,
        ):
            asked = await ask(client, rule_id)
            with pytest.raises(MCPError) as refused:
                await consent_to(client, asked, "rule_disk")
            assert refused.value.error.code == -32602
            forged = asked.model_copy(update={"request_state": f"{asked.request_state}x"})
            with pytest.raises(MCPError):
                await consent_to(client, forged, rule_id)
            assert backend.rules.keys() == {rule_id, "rule_disk"}
            assert (await consent_to(client, asked, rule_id)).data["deleted"] is True

    loop_thread.run(scenario())
    assert backend.rules.keys() == {"rule_disk"}


@pytest.mark.parametrize("mode", ERAS)
def test_consent_to_a_rule_is_none_to_what_it_became_meanwhile(
    loop_thread: LoopThread, backend: Backend, settings: MeshSettings, mode: str, rule_id: str
) -> None:
    questions: list[str] = []

    async def reply(context: Any, parameters: Any) -> ElicitResult:
        questions.append(parameters.message)
        rule = backend.rules[rule_id]
        rule.condition_text, rule.etag = "load > 4", "v2"
        return REPLIES["accept true" if len(questions) == 1 else "decline"][0]

    with loop_thread.opened(serve(settings, (), {})) as url:
        result = delete(loop_thread, url, mode, rule_id, elicitation_callback=reply)
    assert rule_id in backend.rules
    if mode == "legacy":
        assert result.is_error
        assert "v2" in result.text
    else:
        assert ["cpu_percent > 90" in question for question in questions] == [True, False]


def test_with_a_common_key_another_process_takes_the_answer(
    loop_thread: LoopThread, backend: Backend, settings: MeshSettings, rule_id: str
) -> None:
    async def scenario() -> None:
        async with (
            serve(settings, (OLD_STATE_KEY,), {}) as first,
            serve(settings, (STATE_KEY, OLD_STATE_KEY), {}) as second,
            serve(settings, (), {}) as stranger,
            Client(first, elicitation_callback=nobody) as asking,
        ):
            asked = await ask(asking, rule_id)
            async with Client(stranger, elicitation_callback=nobody) as client:
                with pytest.raises(MCPError):
                    await consent_to(client, asked, rule_id)
            assert rule_id in backend.rules
            async with Client(second, elicitation_callback=nobody) as client:
                assert (await consent_to(client, asked, rule_id)).data["deleted"] is True

    loop_thread.run(scenario())


def test_the_common_key_comes_from_the_environment_and_is_never_shown() -> None:
    environment = {"MONITORS_MCP_STATE_KEY": f"{STATE_KEY}, {OLD_STATE_KEY},{STATE_KEY}"}
    settings = load_http_settings(environment, "127.0.0.1", "", [])
    assert settings.state_keys == (STATE_KEY, OLD_STATE_KEY)
    assert STATE_KEY not in repr(settings)
    assert load_http_settings({}, "127.0.0.1", "", []).state_keys == ()
    with pytest.raises(BadSetting, match=r"MONITORS_MCP_STATE_KEY.*32 characters") as refused:
        load_http_settings({"MONITORS_MCP_STATE_KEY": "short-secret"}, "127.0.0.1", "", [])
    assert "short-secret" not in str(refused.value)
