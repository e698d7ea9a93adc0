"""Slack, Discord and Teams, as strict doubles of them take what people are told."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from hypothesis import given, settings

from monitors.mesh.masking import Secret
from monitors.mesh.times import SECOND
from monitors.notifier.channels.discord import several as several_discord
from monitors.notifier.channels.discord.render import render as render_discord
from monitors.notifier.channels.discord.send import judge as judge_discord
from monitors.notifier.channels.discord.send import waiting
from monitors.notifier.channels.slack import several as several_slack
from monitors.notifier.channels.slack.render import render as render_slack
from monitors.notifier.channels.teams import several as several_teams
from monitors.notifier.channels.teams.render import MAX_BODY
from monitors.notifier.channels.teams.render import render as render_teams
from monitors.notifier.channels.teams.send import judge as judge_teams
from monitors.notifier.egress import Answer
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import OutcomeKind
from monitors.notifier.model.message import Kind, Message
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import DiscordChannel, SlackChannel, TeamsChannel
from tests.harness import LoopThread
from tests.notifier.providers import discord, slack, teams
from tests.notifier.providers.discord import Discord
from tests.notifier.providers.slack import Slack
from tests.notifier.providers.strict import Provider, length
from tests.notifier.providers.teams import Teams
from tests.notifier.samples import NOW, TOLD, contents
from tests.notifier.test_channels import create, refusal
from tests.notifier.world import RESOLVED, Received, Receiver, World, notification


@dataclass(frozen=True)
class Chat:
    """A kind of channel, its double, and how a message to it is rendered."""

    double: Callable[[], Provider]
    path: str
    one: Callable[[Message, int], bytes]
    many: Callable[[Bundle], bytes]
    status: int
    state: str
    query: str = ""

    def render(self, content: Content) -> bytes:
        return self.many(content) if isinstance(content, Bundle) else self.one(content, NOW)

    def play(self, provider: Provider, content: Content) -> int:
        """The status that it's answered."""
        headers = {"content-type": "application/json; charset=utf-8"}
        return provider(Received(self.path, headers, self.render(content), self.query)).status


CHATS = {
    "slack": Chat(Slack, slack.PATH, render_slack, several_slack.render, 200, "DELIVERED"),
    "discord": Chat(Discord, discord.PATH, render_discord, several_discord.render, 200, "DELIVERED", "wait=true"),
    "teams": Chat(Teams, teams.PATH, render_teams, several_teams.render, 202, "ACCEPTED"),
}
kinds = pytest.mark.parametrize("kind", CHATS)


def channel(kind: str, url: str) -> dict[str, Any]:
    made = {
        "slack": SlackChannel(webhook_url=url),
        "discord": DiscordChannel(webhook_url=url),
        "teams": TeamsChannel(workflow_url=url),
    }
    return {"name": "chat", kind: made[kind]}


@pytest.fixture
def provider(kind: str) -> Provider:
    return CHATS[kind].double()


@pytest.fixture
def endpoint(loop_thread: LoopThread, provider: Provider) -> Iterator[Receiver]:
    with loop_thread.opened(Receiver(provider).listening()) as listening:
        yield listening


@kinds
def test_an_alert_and_its_end_are_posted(world: World, kind: str, endpoint: Receiver, provider: Provider) -> None:
    chat = CHATS[kind]
    create(world, is_default=True, **channel(kind, f"{endpoint.url}{chat.path}"))
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", chat.state))
    world.tell(notification("note_2", RESOLVED, sequence=2))
    world.wait_for_states(("note_1", chat.state), ("note_2", chat.state))
    first, second = (received.body.decode() for received in endpoint.received.items)
    assert "CPU is hot" in first
    assert "monitors alerts ack alert_1" in first
    assert "RESOLVED" in second
    assert provider.refusals == []
    assert not isinstance(provider, Teams) or provider.failed == []


@kinds
def test_a_test_says_how_it_went(world: World, kind: str, endpoint: Receiver) -> None:
    chat = CHATS[kind]
    made = create(world, **channel(kind, f"{endpoint.url}{chat.path}")).channel
    assert len(getattr(made, kind).fingerprint) == 8
    assert "token" not in str(made)
    attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="chat")).attempt
    expected = npb.DELIVERY_OUTCOME_OK if chat.state == "DELIVERED" else npb.DELIVERY_OUTCOME_ACCEPTED
    assert (attempt.outcome, attempt.status) == (expected, chat.status)


@kinds
def test_a_webhook_that_is_gone_breaks_the_channel(world: World, kind: str, endpoint: Receiver) -> None:
    create(world, **channel(kind, f"{endpoint.url}/gone/canary"))
    attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="chat")).attempt
    assert (attempt.outcome, attempt.status) == (npb.DELIVERY_OUTCOME_CONFIGURATION_BROKEN, 404)
    assert "canary" not in attempt.detail


@kinds
@pytest.mark.parametrize("told", TOLD)
def test_everything_that_people_are_told_is_taken_and_says_what(kind: str, provider: Provider, told: str) -> None:
    chat = CHATS[kind]
    assert chat.play(provider, TOLD[told]) == chat.status, provider.refusals
    assert not isinstance(provider, Teams) or provider.failed == []
    text = json.dumps(json.loads(chat.render(TOLD[told])), ensure_ascii=False)
    words = {
        "firing": ["FIRING (critical): Checkout is slow" if kind != "discord" else "FIRING", "731.457", "14:01:17"],
        "acknowledged": ["ann", "I restart the pool"],
        "resolved": ["RESOLVED", "12 min 34 s"],
        "fired and recovered": ["FIRED AND RECOVERED"],
        "escalated": ["high → critical" if kind != "discord" else "critical"],
        "still firing": ["STILL FIRING"],
        "not acknowledged": ["UNACKNOWLEDGED for 15 min", "step 2 of 3, told before: ops-slack, ops-mail"],
        "digest": ["DIGEST", "Disk is full", "alert_0000000000zz"],
        "test": ["This is a test"],
    }
    assert [word for word in words[told] if word not in text] == []


@kinds
@settings(max_examples=40)
@given(content=contents)
def test_nothing_is_too_large_or_breaks_out_of_its_escaping(kind: str, content: Content) -> None:
    chat = CHATS[kind]
    provider = chat.double()
    assert chat.play(provider, content) == chat.status, provider.refusals
    assert not isinstance(provider, Teams) or provider.failed == []


@pytest.mark.parametrize("script", ["x", "é", "漢", "🔥", "<", "`", "*", "\\"])
@pytest.mark.parametrize(
    ("kind", "limit"), [("slack", 150), ("slack", 3000), ("discord", 2000), ("teams", 250), ("teams", 20_000)]
)
def test_a_headline_at_its_limit_is_whole_and_beyond_it_is_cut(kind: str, limit: int, script: str) -> None:
    chat = CHATS[kind]
    for size in (limit // 2 - 1, limit // 2, limit // 2 + 1, limit - 1, limit, limit + 1):
        bare = Message(id="x", kind=Kind.FIRING, title=script * size)
        provider = chat.double()
        assert chat.play(provider, bare) == chat.status, provider.refusals
        assert not isinstance(provider, Teams) or provider.failed == []


@pytest.mark.parametrize(("size", "whole"), [(1976, True), (1977, True), (1978, False)])
def test_discords_content_is_cut_at_2000_characters(size: int, whole: bool) -> None:
    body = json.loads(render_discord(Message(id="x", kind=Kind.FIRING, title="t" * size), NOW))
    assert length(body["content"]) == min(size + length(r"🔴 FIRING \(medium\)\: "), 2000)
    assert body["content"].endswith("…") is not whole


def test_a_card_is_cut_below_what_teams_takes() -> None:
    long = Message(id="x", kind=Kind.FIRING, title="t", annotations={"summary": "🔥" * 30_000}, monitor_id="<" * 30_000)
    assert len(render_teams(long, NOW)) <= MAX_BODY


def test_text_can_neither_format_nor_mention_in_discord() -> None:
    hostile = Message(id="x", kind=Kind.FIRING, title="@everyone **bold** [a](https://b)", monitor_id="a`b` <@1>")
    body = json.loads(render_discord(hostile, NOW))
    assert body["content"].endswith(r"\@everyone \*\*bold\*\* \[a\]\(https\://b\)")
    assert "`aˋbˋ <@1>`" in body["embeds"][0]["description"]
    assert body["allowed_mentions"] == {"parse": []}


def test_discord_is_asked_to_say_when_it_has_saved_the_message() -> None:
    assert waiting(Secret("https://d/api/webhooks/1/t")).reveal() == "https://d/api/webhooks/1/t?wait=true"
    assert waiting(Secret("https://d/w?thread_id=7")).reveal() == "https://d/w?thread_id=7&wait=true"


def test_discord_says_to_the_millisecond_how_long_to_wait(loop_thread: LoopThread, world: World) -> None:
    with loop_thread.opened(Receiver(Discord(allowed=0)).listening()) as listening:
        create(world, **channel("discord", f"{listening.url}{discord.PATH}"))
        attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="chat")).attempt
    assert (attempt.outcome, attempt.status) == (npb.DELIVERY_OUTCOME_THROTTLED, 429)


@pytest.mark.parametrize(
    ("status", "retry_after", "body", "kind", "pause"),
    [
        (200, "", b'{"id": "1"}', OutcomeKind.OK, 0),
        (204, "", b"", OutcomeKind.ACCEPTED, 0),
        (200, "", b"<html>welcome</html>", OutcomeKind.RETRYABLE, 0),
        (200, "", b"[]", OutcomeKind.RETRYABLE, 0),
        (400, "", b'{"code": 50035}', OutcomeKind.FINAL, 0),
        (
            400,
            "",
            b'{"code": 50035, "errors": {"content": "Must be 2000 or fewer in length."}}',
            OutcomeKind.TOO_LARGE,
            0,
        ),
        (401, "", b"", OutcomeKind.CONFIGURATION_BROKEN, 0),
        (404, "", b'{"code": 10015}', OutcomeKind.CONFIGURATION_BROKEN, 0),
        (429, "", b'{"retry_after": 0.3}', OutcomeKind.THROTTLED, 3 * SECOND // 10),
        (429, "65", b'{"retry_after": 64.57}', OutcomeKind.THROTTLED, 65 * SECOND),
        (429, "5", b"<html>error 1015</html>", OutcomeKind.THROTTLED, 5 * SECOND),
        (502, "", b"", OutcomeKind.RETRYABLE, 0),
    ],
)
def test_what_discords_answers_mean(status: int, retry_after: str, body: bytes, kind: OutcomeKind, pause: int) -> None:
    outcome = judge_discord(Answer(status, retry_after, body))
    assert (outcome.kind, outcome.retry_after) == (kind, pause)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (202, b"", OutcomeKind.ACCEPTED),
        (200, b"1", OutcomeKind.ACCEPTED),
        (200, b"<html>welcome</html>", OutcomeKind.RETRYABLE),
        (200, b"Webhook message delivery failed with error: HTTP error 429", OutcomeKind.THROTTLED),
        (400, b'{"error": {"code": "InvalidTemplate"}}', OutcomeKind.FINAL),
        (400, b'{"error": {"code": "WorkflowTriggerIsNotEnabled"}}', OutcomeKind.CONFIGURATION_BROKEN),
        (401, b"", OutcomeKind.CONFIGURATION_BROKEN),
        (404, b'{"error": {"code": "WorkflowNotFound"}}', OutcomeKind.CONFIGURATION_BROKEN),
        (413, b"", OutcomeKind.TOO_LARGE),
        (429, b"", OutcomeKind.THROTTLED),
        (502, b"", OutcomeKind.RETRYABLE),
    ],
)
def test_what_the_answers_of_teams_mean(status: int, body: bytes, kind: OutcomeKind) -> None:
    assert judge_teams(Answer(status, "", body)).kind is kind


@pytest.mark.parametrize(
    ("kind", "url", "words"),
    [
        ("discord", "https://example.org/api/webhooks/1/canary", ["discord.webhook_url", "Integrations"]),
        ("discord", "http://discord.com/api/webhooks/1/canary", ["discord.webhook_url"]),
        ("discord", "https://discord.com/api/webhooks/1/canary/slack", ["discord.webhook_url", "nothing behind"]),
        ("discord", "https://discord.com.example.org/api/webhooks/1/canary", ["discord.webhook_url"]),
        ("teams", "https://example.org/workflows/canary", ["teams.workflow_url", "Workflows"]),
        ("teams", "https://acme.webhook.office.com/webhookb2/canary", ["turned off", "Workflows", ".logic.azure.com"]),
        ("teams", "https://outlook.office.com/webhook/canary", ["turned off"]),
        ("teams", "https://logic.azure.com/canary", ["not the URL of a workflow"]),
        ("teams", "http://prod-1.westeurope.logic.azure.com/canary", ["teams.workflow_url"]),
    ],
)
def test_an_url_of_something_else_is_refused_with_what_to_do(
    shared_world: World, kind: str, url: str, words: list[str]
) -> None:
    code, message = refusal(lambda: create(shared_world, **channel(kind, url)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [word for word in words if word not in message] == []
    assert "canary" not in message


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("discord", "https://discord.com/api/webhooks/123/a-B_c"),
        ("discord", "https://ptb.discord.com/api/v10/webhooks/123/a-B_c?thread_id=1"),
        ("teams", "https://prod-12.westeurope.logic.azure.com:443/workflows/0a/triggers/manual/paths/invoke?sig=x"),
        ("teams", "https://default0a.1f.environment.api.powerplatform.com:443/powerautomate/automations/x?sig=x"),
    ],
)
def test_the_urls_that_people_are_shown_are_taken(world: World, kind: str, url: str) -> None:
    assert getattr(create(world, **channel(kind, url)).channel, kind).fingerprint
