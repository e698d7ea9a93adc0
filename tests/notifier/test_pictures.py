"""The chart of an alert in the messages that tell of it: where a channel can show one, and at no message's cost."""

import json
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.mesh.config import SendGridSettings, SmtpSettings
from monitors.notifier.channels.discord.render import render as render_discord
from monitors.notifier.channels.email.render import render as render_mail
from monitors.notifier.channels.teams.render import MAX_BODY, MAX_PICTURE
from monitors.notifier.channels.teams.render import render as render_teams
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.message import Message
from monitors.notifier.model.minimal import minimal
from monitors.notifier.model.picture import Picture, pictured
from monitors.v1.notification_pb2 import (
    GROUP_BY_ALONE,
    ConsoleChannel,
    DiscordChannel,
    Grouping,
    TeamsChannel,
    WebhookChannel,
)
from monitors.v1.rule_service_pb2 import DrawAlertResponse
from tests.harness import LoopThread
from tests.notifier.providers import discord, teams
from tests.notifier.providers.discord import Discord
from tests.notifier.providers.sendgrid import SendGrid
from tests.notifier.providers.strict import Provider
from tests.notifier.providers.teams import Teams
from tests.notifier.samples import DIGEST, FIRING, NOW, TOLD, messages, texts
from tests.notifier.test_channels import create
from tests.notifier.test_email import Mailbox, mailbox, make_channel, smtp
from tests.notifier.test_sendgrid import mailer
from tests.notifier.world import PlayedRules, Received, Receiver, World, notification, running

__all__ = ["mailbox", "mailer", "smtp"]

PNG = b"\x89PNG\r\n\x1a\n-- a picture --"
WORDS = 'avg(cpu_percent, 1m) > 90, 13:00 to 14:00 UTC: lowest 2, highest 97, last 97 <b>"'
PICTURE = Picture(PNG, WORDS)


def with_picture() -> PlayedRules:
    played = PlayedRules()  # type: ignore[abstract]
    played.picture = DrawAlertResponse(chart=PNG, description=WORDS)
    return played


def images(mail: EmailMessage) -> list[Any]:
    return [part for part in mail.walk() if part.get_content_maintype() == "image"]


def test_a_mail_shows_the_chart_within_itself_and_says_it_in_words(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, mailbox: Mailbox
) -> None:
    make_channel(loop_thread, tmp_path)
    with running(loop_thread, tmp_path, smtp=smtp, rules=with_picture()) as world:
        world.tell(notification("note_1"))
        world.wait_for_states(("note_1", "DELIVERED"))
        (asked,) = world.rules.drawn.items
    assert (asked.tenant_id, asked.alert_id) == ("acme", "alert_1")
    ((_, mail),) = mailbox.mails.items
    (image,) = images(mail)
    assert (image.get_content(), image.get_content_disposition()) == (PNG, "inline")
    html, text = (mail.get_body((kind,)) for kind in ("html", "plain"))
    assert html is not None
    assert text is not None
    assert f'src="cid:{image["Content-ID"].strip("<>")}"' in html.get_content()
    assert "&lt;b&gt;&quot;" in html.get_content()
    assert f"Chart: {WORDS}" in text.get_content()


def test_sendgrid_shows_the_chart_as_well(
    loop_thread: LoopThread, tmp_path: Path, mailer: SendGridSettings, provider: SendGrid
) -> None:
    make_channel(loop_thread, tmp_path)
    with running(loop_thread, tmp_path, smtp=mailer, rules=with_picture()) as world:
        world.tell(notification("note_1"))
        world.wait_for_states(("note_1", "ACCEPTED"))
    assert provider.refusals == []
    assert len(provider.queued[0]["attachments"]) == 1


@pytest.fixture
def provider() -> SendGrid:
    return SendGrid()


def open_chats(world: World, loop: LoopThread, doubles: dict[str, Provider], play: Callable[[], None]) -> None:
    """Makes channels that tell doubles of Discord and Teams, and a webhook and a terminal."""
    chats = {"discord": discord.PATH, "teams": teams.PATH}
    with (
        loop.opened(Receiver(doubles["discord"]).listening()) as first,
        loop.opened(Receiver(doubles["teams"]).listening()) as second,
        loop.opened(Receiver().listening()) as hook,
    ):
        create(world, name="discord", is_default=True, discord=DiscordChannel(webhook_url=first.url + chats["discord"]))
        create(world, name="teams", is_default=True, teams=TeamsChannel(workflow_url=second.url + chats["teams"]))
        create(world, name="hook", is_default=True, webhook=WebhookChannel(url=hook.url))
        create(world, name="terminal", is_default=True, console=ConsoleChannel())
        play()


def test_discord_and_teams_show_it_and_nobody_else_asks_for_it(loop_thread: LoopThread, tmp_path: Path) -> None:
    doubles: dict[str, Provider] = {"discord": Discord(), "teams": Teams()}
    with running(loop_thread, tmp_path, rules=with_picture()) as world:

        def play() -> None:
            world.tell(notification("note_1"))
            states = {"discord": "DELIVERED", "teams": "ACCEPTED", "hook": "DELIVERED", "terminal": "DELIVERED"}
            world.rules.reports.wait(lambda reports: _arrived(reports) >= set(states))

        open_chats(world, loop_thread, doubles, play)
        # One for each of the two that show it, as one of them takes a smaller one.
        assert sorted(asked.max_bytes for asked in world.rules.drawn.items) == [MAX_PICTURE, 65_536]
    assert isinstance(doubles["discord"], Discord)
    assert isinstance(doubles["teams"], Teams)
    assert (doubles["discord"].files, doubles["discord"].refusals) == ([PNG], [])
    assert doubles["discord"].messages[0]["attachments"][0]["description"] == WORDS
    assert doubles["teams"].failed == []
    (card,) = doubles["teams"].cards
    assert [element["altText"] for element in card["body"] if element["type"] == "Image"] == [WORDS]


def _arrived(reports: list[Any]) -> set[str]:
    return {report.delivery.channel for report in reports if report.delivery.state in (3, 4)}


def test_two_channels_that_tell_the_same_share_its_picture(loop_thread: LoopThread, tmp_path: Path) -> None:
    double = Discord()
    with (
        running(loop_thread, tmp_path, rules=with_picture()) as world,
        loop_thread.opened(Receiver(double).listening()) as chat,
    ):
        for name in ("one", "two"):
            create(world, name=name, is_default=True, discord=DiscordChannel(webhook_url=chat.url + discord.PATH))
        world.tell(notification("note_1"))
        world.rules.reports.wait(lambda reports: _arrived(reports) >= {"one", "two"})
        assert double.files == [PNG, PNG]
        assert len(world.rules.drawn.items) == 1


@pytest.mark.parametrize("picture", [None, DrawAlertResponse()], ids=["never comes", "isn't there"])
def test_a_message_goes_without_a_picture_that_never_comes_or_isnt_there(
    loop_thread: LoopThread, tmp_path: Path, picture: DrawAlertResponse | None
) -> None:
    double, played = Discord(), with_picture()
    played.picture = picture
    with (
        running(loop_thread, tmp_path, rules=played, chart_seconds=0.05) as world,
        loop_thread.opened(Receiver(double).listening()) as chat,
    ):
        create(world, name="chat", is_default=True, discord=DiscordChannel(webhook_url=chat.url + discord.PATH))
        world.tell(notification("note_1"))
        world.wait_for_states(("note_1", "DELIVERED"))
        assert len(played.drawn.items) == 1
    assert (len(double.messages), double.files, double.refusals) == (1, [], [])


def test_no_other_channel_waits_for_a_picture(loop_thread: LoopThread, tmp_path: Path) -> None:
    double, played = Discord(), with_picture()
    played.picture = None
    with (
        running(loop_thread, tmp_path, rules=played, chart_seconds=10) as world,
        loop_thread.opened(Receiver(double).listening()) as chat,
        loop_thread.opened(Receiver().listening()) as hook,
    ):
        create(world, name="chat", is_default=True, discord=DiscordChannel(webhook_url=chat.url + discord.PATH))
        create(world, name="hook", is_default=True, webhook=WebhookChannel(url=hook.url))
        world.tell(notification("note_1"))
        played.drawn.wait_for_count(1)
        world.tell(notification("note_2", alert="alert_2", stream="other"))
        hook.received.wait_for_count(2)
        assert double.messages == []
        loop_thread.run(release(played))
        world.rules.reports.wait(lambda reports: _arrived(reports) >= {"chat", "hook"})
    assert double.files == []


async def release(played: PlayedRules) -> None:
    played.released.set()


def test_in_a_storm_most_messages_go_without_a_picture(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, mailbox: Mailbox
) -> None:
    alone = Grouping(by=GROUP_BY_ALONE, digest_above=0)
    make_channel(loop_thread, tmp_path, grouping=alone)
    with running(loop_thread, tmp_path, smtp=smtp, rules=with_picture()) as world:
        names = [f"note_{number}" for number in range(40)]
        world.tell(*(notification(name, alert=name, stream=name) for name in names))
        world.wait_for_states(*((name, "DELIVERED") for name in names))
    shown = [mail for _, mail in mailbox.mails.items if images(mail)]
    assert (len(mailbox.mails.items), 1 <= len(shown) < 20) == (40, True)


def test_only_one_alert_that_fires_or_is_over_has_a_picture() -> None:
    assert {told for told, content in TOLD.items() if pictured(content)} == {
        "firing", "resolved", "fired and recovered", "escalated", "still firing", "not acknowledged",
    }  # fmt: skip
    assert pictured(DIGEST) is None
    assert pictured(minimal(FIRING)) is None


@given(message=messages, words=texts, png=st.binary(max_size=MAX_PICTURE))
@settings(max_examples=60, deadline=None)
def test_no_picture_makes_a_message_too_large_or_breaks_out(message: Message, words: str, png: bytes) -> None:
    picture = Picture(b"\x89" + png, words + "x")
    body = render_teams(message, NOW, picture)
    assert len(body) <= MAX_BODY
    teams_double = Teams()
    teams_double(Received(teams.PATH, {"content-type": "application/json"}, body))
    assert teams_double.failed == []
    embed = json.loads(render_discord(message, NOW, picture))
    assert len(embed["attachments"][0]["description"].encode("utf-16-le", "surrogatepass")) <= 2 * 1024
    mail = render_mail(message, "a@example.org", ("b@example.org",), NOW, picture)
    assert [part.get_content() for part in images(mail)] == [picture.png]
    html = mail.get_body(("html",))
    assert html is not None
    assert html.get_content().count("<img") == 1


def test_a_card_drops_the_picture_before_its_text() -> None:
    content: Content = replace(FIRING, annotations={"summary": "ü" * 4000}, labels={"l" * 200: "'" * 1000})
    assert isinstance(content, Message)
    whole, shown = render_teams(content, NOW), render_teams(content, NOW, Picture(b"x" * MAX_PICTURE, "w"))
    assert shown == whole or b'"Image"' in shown
    assert len(shown) <= MAX_BODY
