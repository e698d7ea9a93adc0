"""A rule names a channel that doesn't exist yet: from the call by the link and the page to the rule, on the real
RuleService and the real notifier."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from mcp import Client, ClientSession, MCPError
from mcp_types import (
    ElicitationCapability,
    ElicitCompleteNotification,
    ElicitRequestURLParams,
    ElicitResult,
    FormElicitationCapability,
)

from monitors.bridge import new_channels
from monitors.bridge.settings import MeshSettings
from monitors.mesh.channels import open_channel
from monitors.mesh.config import LOCAL_TENANT, NotifierSettings, RulesSettings
from monitors.mesh.identity import with_service_token
from monitors.mesh.server import MeshServer
from monitors.notifier.main import open_notifier
from monitors.rules.main import open_rules
from monitors.v1 import monitor_pb2
from monitors.v1 import notifier_service_pb2 as notifier_pb
from monitors.v1 import rule_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, ConsoleChannel
from monitors.v1.notifier_service_pb2_grpc import NotifierServiceStub
from monitors.v1.rule_service_pb2_grpc import RuleServiceStub
from tests.bridge.backend import Backend
from tests.bridge.conftest import ERAS, Answer, HttpBridge, Tools, answer_of, stdio_parameters
from tests.browser import Page, fetch
from tests.harness import LoopThread
from tests.notifier.world import as_tenant
from tests.processes import wait_for
from tests.servers.backends import database_url

RULE = {"monitor": "mon_host", "title": "CPU is high", "condition": "cpu_percent > 90"}
LINK = re.compile(r"http://127\.0\.0\.1:\d+/channels/new\?link=[\w.-]+")
FIELD = monitor_pb2.MonitorField(measurement="cpu", field="cpu_percent", type=monitor_pb2.FIELD_TYPE_FLOAT)


@asynccontextmanager
async def opened(home: Path) -> AsyncIterator[tuple[int, str, str]]:
    """Both services, as `monitors up` opens them. Gives the port, the local key and the key of another tenant."""
    closing = asyncio.Event()
    address = f"unix:{home / 'mesh.sock'}"
    settings = NotifierSettings(database_url(home / "notifier.db", "notifier"), home / "master.key", None, True)
    async with (
        open_channel(address, "mesh") as channel,
        open_rules(RulesSettings(database_url(home / "rules.db")), closing, None) as rules,
        open_notifier(settings, channel, closing, lambda line: None) as notifier,
    ):
        key, other = await rules.ensure_local_key(home / "key"), await rules.add_tenant("globex")
        server = MeshServer(with_service_token("mesh", rules.authenticate), closing)
        server.host(rules)
        server.host(notifier)
        port, _ = await server.start(["127.0.0.1:0", address], variable="MONITORS_GRPC_PORT")
        await notifier.ensure_console(LOCAL_TENANT)
        yield port, key, other
        closing.set()
        await server.stop()


@dataclass
class Mesh:
    """The mesh, and a user who is asked by their client."""

    tools: Tools
    port: int
    rules: RuleServiceStub
    notifier: NotifierServiceStub
    other: str
    questions: list[Any] = field(default_factory=list)

    def call(self, reply: Callable[[str], ElicitResult], name: str = "create_alert_rule", **arguments: Any) -> Answer:
        """A call whose client opens pages; `reply` gets the URL."""

        async def ask(_: Any, parameters: Any) -> ElicitResult:
            self.questions.append(parameters)
            return await asyncio.to_thread(reply, parameters.url)

        async def use(client: Any) -> Answer:
            return answer_of(await client.call_tool(name, arguments))

        return self.tools.with_client(use, elicitation_callback=ask)

    def with_scopes(self, *scopes: str) -> Tools:
        key = self.rules.CreateKey(pb.CreateKeyRequest(title="some", scopes=scopes)).key
        return Tools(self.tools.loop_thread, replace(self.tools.settings, key=key), self.tools.options)

    def names(self) -> list[str]:
        return [channel.name for channel in self.rules.ListChannelNames(pb.ListChannelNamesRequest()).channels]


@pytest.fixture(params=ERAS)
def mesh(request: pytest.FixtureRequest, loop_thread: LoopThread, tmp_path: Path) -> Iterator[Mesh]:
    with (
        loop_thread.opened(opened(tmp_path)) as (port, key, other),
        grpc.insecure_channel(f"127.0.0.1:{port}") as raw,
    ):
        rules, notifier = RuleServiceStub(as_tenant(raw, key)), NotifierServiceStub(as_tenant(raw, key))
        rules.RegisterMonitor(pb.RegisterMonitorRequest(monitor_id="mon_host", fields=[FIELD]))
        tools = Tools(loop_thread, MeshSettings(f"127.0.0.1:{port}", key), {"mode": request.param})
        wait_for(lambda: has_page(rules), "the notifier")
        yield Mesh(tools, port, rules, notifier, other)


def has_page(rules: RuleServiceStub) -> bool:
    try:
        return bool(rules.CreateChannelLink(pb.CreateChannelLinkRequest()).url)
    except grpc.RpcError:
        return False


def add(url: str, **changes: str) -> Page:
    """Adds the channel that a link proposes."""
    page = fetch(url)
    done = page.submit({"kind": "webhook", "webhook.url": "http://127.0.0.1:9/?token=canary", **changes})
    assert done.status == 201, done.text
    return done


def accept(url: str) -> ElicitResult:
    return ElicitResult(action="accept")


def accept_and_add(url: str) -> ElicitResult:
    add(url)
    return ElicitResult(action="accept")


@pytest.mark.parametrize("extra", [{}, {"dry_run": True}])
def test_a_client_that_opens_no_pages_gets_the_link_and_the_same_call_works_then(
    mesh: Mesh, extra: dict[str, Any]
) -> None:
    arguments = {**RULE, **extra, "notify": ["ops"]}
    text = mesh.tools.error("create_alert_rule", **arguments)
    assert text.startswith("notify: there is no channel 'ops'; there are console. To add it")
    assert "within 10 minutes" in text
    assert text.endswith("never in this conversation; then call again. Nothing was changed.")
    assert len(text) / 4 <= 120
    (url,) = LINK.findall(text)
    done = add(url)
    assert "The channel ops is there now" in done.text
    answer = mesh.tools.success("create_alert_rule", **arguments)
    assert answer.data["rule"]["notify"] == ["ops"]
    assert "canary" not in text + answer.text + str(answer.data)
    assert fetch(url).status == 410


def test_a_client_that_opens_pages_does_it_within_the_call(mesh: Mesh) -> None:
    answer = mesh.call(accept_and_add, **RULE, notify="ops")
    assert (answer.is_error, answer.data["rule"]["notify"]) == (False, ["ops"])
    (question,) = mesh.questions
    assert isinstance(question, ElicitRequestURLParams)
    assert "'ops'" in question.message
    assert mesh.names() == ["console", "ops"]
    # Once it's there nobody is asked.
    rule_id = answer.data["rule"]["id"]
    changed = mesh.call(accept_and_add, "update_alert_rule", rule_id=rule_id, notify=["console", "ops"])
    assert (changed.is_error, len(mesh.questions)) == (False, 1)
    added = mesh.call(accept_and_add, "update_alert_rule", rule_id=rule_id, notify=["night"])
    assert (added.is_error, added.data["rule"]["notify"], len(mesh.questions)) == (False, ["night"], 2)


def test_the_call_waits_for_a_user_who_is_still_at_it(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_channels, "LOOK_SECONDS", 0.01)
    looked = []
    look = new_channels._known

    async def known(caller: Any) -> list[str]:
        looked.append(await look(caller))
        if len(looked) == 4:
            await asyncio.to_thread(add, mesh.questions[0].url)
        return looked[-1]

    monkeypatch.setattr(new_channels, "_known", known)
    assert not mesh.call(accept, **RULE, notify="ops").is_error
    assert len(looked) > 4


def test_a_call_doesnt_wait_for_ever(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_channels, "LOOKS", 2)
    monkeypatch.setattr(new_channels, "LOOK_SECONDS", 0.0)
    answer = mesh.call(accept, **RULE, notify="ops")
    assert answer.is_error
    assert "call again once they say that it's done. Nothing was changed." in answer.text
    # The link that the user has works on.
    add(mesh.questions[0].url)
    assert not mesh.call(accept, **RULE, notify="ops").is_error
    assert len(mesh.questions) == 1


@pytest.mark.parametrize("action", ["decline", "cancel"])
def test_a_user_who_doesnt_want_to_is_not_pressed(mesh: Mesh, action: Any) -> None:
    answer = mesh.call(lambda url: ElicitResult(action=action), **RULE, notify="ops")
    assert (answer.is_error, "ask which channel to tell" in answer.text) == (True, True)
    assert len(mesh.questions) == 1
    assert mesh.names() == ["console"]


@pytest.mark.parametrize("mesh", ["legacy"], indirect=True)
def test_a_client_that_refuses_the_question_gets_the_link(mesh: Mesh) -> None:
    def refuse(url: str) -> ElicitResult:
        raise MCPError(code=-32602, message="no pages here")

    assert LINK.search(mesh.call(refuse, **RULE, notify="ops").text)


@pytest.mark.process
@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_channel_is_added_within_a_call_over_each_transport(mesh: Mesh, transport: str) -> None:
    environment = {"MONITORS_SERVER": mesh.tools.settings.address, "MONITORS_KEY": mesh.tools.settings.key}
    messages: list[Any] = []

    async def keep(message: Any) -> None:
        messages.append(message)

    async def ask(_: Any, parameters: Any) -> ElicitResult:
        mesh.questions.append(parameters)
        return await asyncio.to_thread(accept_and_add, parameters.url)

    async def scenario(target: Any) -> Answer:
        options = {**mesh.tools.options, "elicitation_callback": ask, "message_handler": keep}
        async with Client(target, **options) as client:
            return answer_of(await client.call_tool("create_alert_rule", {**RULE, "notify": ["ops"]}))

    if transport == "stdio":
        answer = mesh.tools.loop_thread.run(scenario(stdio_parameters(**environment)))
    else:
        bridge = HttpBridge(**environment)
        try:
            answer = mesh.tools.loop_thread.run(scenario(bridge.url))
        finally:
            bridge.close()
    assert (answer.is_error, answer.data["rule"]["notify"]) == (False, ["ops"])
    # The earlier era is also told that the page is done with.
    done = [message.params.elicitation_id for message in messages if isinstance(message, ElicitCompleteNotification)]
    is_legacy = mesh.tools.options["mode"] == "legacy"
    assert done == ([mesh.questions[0].elicitation_id] if is_legacy else [])


def test_a_form_is_no_page(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    forms = ElicitationCapability(form=FormElicitationCapability())
    build = ClientSession._build_capabilities
    monkeypatch.setattr(
        ClientSession, "_build_capabilities", lambda self, version: build(self, version).model_copy(
            update={"elicitation": forms}
        ),
    )  # fmt: skip
    assert LINK.search(mesh.call(accept_and_add, **RULE, notify="ops").text)
    assert mesh.questions == []


def test_a_slip_is_no_matter_for_the_user(mesh: Mesh) -> None:
    answer = mesh.call(accept_and_add, **RULE, notify="consol")
    assert (answer.is_error, "did you mean 'console'?" in answer.text, mesh.questions) == (True, True, [])
    assert LINK.search(answer.text)


def test_what_else_is_wrong_comes_first(mesh: Mesh) -> None:
    answer = mesh.call(accept_and_add, **{**RULE, "condition": "cpu_procent > 90"}, notify="ops")
    assert (answer.is_error, "cpu_percent" in answer.text, "'ops'" in answer.text) == (True, True, True)
    assert (mesh.questions, LINK.search(answer.text)) == ([], None)


def test_two_new_channels_are_added_one_after_the_other(mesh: Mesh) -> None:
    notify = ["ops", "night"]
    (first,) = LINK.findall(mesh.tools.error("create_alert_rule", **RULE, notify=notify))
    add(first)
    (second,) = LINK.findall(mesh.tools.error("create_alert_rule", **RULE, notify=notify))
    assert fetch(second).filled()["name"] == "night"
    add(second)
    assert mesh.tools.success("create_alert_rule", **RULE, notify=notify).data["rule"]["notify"] == notify


@pytest.mark.parametrize("name", ["a b", "ö" * 70, "x\ny", '"><b>'])
def test_any_name_leads_to_a_page_that_proposes_none_it_couldnt_take(mesh: Mesh, name: str) -> None:
    (url,) = LINK.findall(mesh.tools.error("create_alert_rule", **RULE, notify=[name]))
    assert fetch(url).filled()["name"] == ""


@pytest.mark.parametrize(
    "secret", ["https://hooks.slack.com/services/canary", "whsec_canary", "xoxb-canary", "canary@example.org"]
)
def test_an_address_in_the_call_goes_nowhere(mesh: Mesh, caplog: pytest.LogCaptureFixture, secret: str) -> None:
    caplog.set_level("DEBUG", "monitors")
    text = mesh.tools.error("create_alert_rule", **RULE, notify=["ops", secret])
    assert text.startswith("notify: an address or secret was given")
    assert "canary" not in text + caplog.text


def test_who_may_not_add_channels_gets_no_link(mesh: Mesh) -> None:
    text = mesh.with_scopes("rules:read", "rules:write").error("create_alert_rule", **RULE, notify=["ops"])
    assert (LINK.search(text), "channels:write" in text, "there are console" in text) == (None, True, True)


def test_the_channels_of_others_are_neither_shown_nor_taken(mesh: Mesh) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{mesh.port}") as raw:
        theirs = NotifierServiceStub(as_tenant(raw, mesh.other))
        channel = Channel(name="theirs-canary", console=ConsoleChannel())
        theirs.CreateChannel(notifier_pb.CreateChannelRequest(channel=channel))
    for name in ("ops", "theirs-canary", "theirs-canarx"):
        text = mesh.tools.error("create_alert_rule", **RULE, notify=[name])
        assert text.replace(name, "").count("canary") == 0
        assert "there are console" in text
    add(LINK.findall(mesh.tools.error("create_alert_rule", **RULE, notify=["theirs-canary"]))[0])
    assert mesh.names() == ["console", "theirs-canary"]


def test_without_a_page_the_command_line_is_named(tools_of_both_eras: Tools, backend: Backend) -> None:
    """As with a mesh that is older, or whose notifier is away."""
    backend.unknown_channels = True
    text = tools_of_both_eras.error("create_alert_rule", **RULE, notify=["ops"])
    assert "there is no channel 'ops'" in text
    assert "`monitors channels create` on the mesh's machine; no address or secret" in text
    assert text.count("Nothing was changed") == 1
