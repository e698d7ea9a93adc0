"""Sends a message to a channel of any kind."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from monitors.notifier.channels.apprise.send import Apprise
from monitors.notifier.channels.console.render import render
from monitors.notifier.channels.console.send import Printer
from monitors.notifier.channels.console.send import send as print_message
from monitors.notifier.channels.discord.send import send as post_to_discord
from monitors.notifier.channels.email.send import Post
from monitors.notifier.channels.email.send import send as send_email
from monitors.notifier.channels.pager_duty.send import send as post_to_pager_duty
from monitors.notifier.channels.slack.send import send as post_to_slack
from monitors.notifier.channels.teams.render import MAX_PICTURE as MAX_PICTURE_OF_TEAMS
from monitors.notifier.channels.teams.send import send as post_to_teams
from monitors.notifier.channels.webhook.send import send as post_webhook
from monitors.notifier.channels.wording import Wording, word
from monitors.notifier.egress import Egress
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.message import Message
from monitors.notifier.model.picture import Picture
from monitors.notifier.model.targets import (
    LOST_REASON,
    AppriseTarget,
    ConsoleTarget,
    DiscordTarget,
    EmailTarget,
    PagerDutyTarget,
    SlackTarget,
    TeamsTarget,
    WebhookTarget,
)

PictureOf = Callable[[str, Content, int], Awaitable[Picture | None]]
"""Gets the picture for a tenant's message, of at most so many bytes; None if there is none."""
MAX_PICTURE = 65_536


@dataclass(frozen=True)
class Senders:
    """What the kinds of channels need to send: the way out, the mail server, the terminal."""

    egress: Egress
    post: Post
    printer: Printer
    apprise: Apprise
    picture_of: PictureOf
    shows_all: bool = False
    """Whether the terminal shows also what is told to other channels only."""

    def show(self, message: Message, now: int) -> None:
        """Shows a message that no console channel prints, if that is wanted."""
        if self.shows_all:
            self.printer.print_soon(render(message, now))

    async def send(self, channel: Channel, content: Content, now: int) -> Outcome:
        """Makes one attempt. `now` is nanoseconds since 1970."""
        wording = word(channel, content, now)
        outcome = await self._send(channel, content, now, wording)
        return replace(outcome, detail=f"{outcome.detail}; {wording.fault}") if wording.fault else outcome

    async def _send(self, channel: Channel, content: Content, now: int, wording: Wording) -> Outcome:
        match channel.target:
            case ConsoleTarget():
                return await print_message(content, now, self.printer)
            case WebhookTarget() as target:
                return await post_webhook(target, content, now, self.egress)
            case EmailTarget() as target:
                picture = await self.picture_of(channel.tenant, content, MAX_PICTURE) if self.post.mailer else None
                return await send_email(channel, target, content, now, self.post, picture, wording)
            case SlackTarget() as target:
                return await post_to_slack(target, content, now, self.egress, wording)
            case DiscordTarget() as target:
                picture = await self.picture_of(channel.tenant, content, MAX_PICTURE)
                return await post_to_discord(target, content, now, self.egress, picture, wording)
            case TeamsTarget() as target:
                picture = await self.picture_of(channel.tenant, content, MAX_PICTURE_OF_TEAMS)
                return await post_to_teams(target, content, now, self.egress, picture, wording)
            case AppriseTarget() as target:
                return await self.apprise.send(target, content, now, wording)
            case PagerDutyTarget() as target:
                return await post_to_pager_duty(target, content, now, self.egress, wording)
            case _:
                return Outcome(OutcomeKind.CONFIGURATION_BROKEN, LOST_REASON)
