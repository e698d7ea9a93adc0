"""Sends a message to a channel of any kind."""

from dataclasses import dataclass

from monitors.mesh.config import Mailer
from monitors.notifier.channels.apprise.send import Apprise
from monitors.notifier.channels.console.render import render
from monitors.notifier.channels.console.send import Printer
from monitors.notifier.channels.console.send import send as print_message
from monitors.notifier.channels.discord.send import send as post_to_discord
from monitors.notifier.channels.email.send import send as send_email
from monitors.notifier.channels.pager_duty.send import send as post_to_pager_duty
from monitors.notifier.channels.slack.send import send as post_to_slack
from monitors.notifier.channels.teams.send import send as post_to_teams
from monitors.notifier.channels.webhook.send import send as post_webhook
from monitors.notifier.egress import Egress
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.message import Message
from monitors.notifier.model.targets import (
    LOST_REASON,
    AppriseTarget,
    ConsoleTarget,
    DiscordTarget,
    EmailTarget,
    PagerDutyTarget,
    SlackTarget,
    Target,
    TeamsTarget,
    WebhookTarget,
)


@dataclass(frozen=True)
class Senders:
    """What the kinds of channels need to send: the way out, the mail server, the terminal."""

    egress: Egress
    mailer: Mailer | None
    printer: Printer
    apprise: Apprise
    shows_all: bool = False
    """Whether the terminal shows also what is told to other channels only."""

    def show(self, message: Message, now: int) -> None:
        """Shows a message that no console channel prints, if that is wanted."""
        if self.shows_all:
            self.printer.print_soon(render(message, now))

    async def send(self, target: Target, content: Content, now: int) -> Outcome:
        """Makes one attempt. `now` is nanoseconds since 1970."""
        match target:
            case ConsoleTarget():
                return await print_message(content, now, self.printer)
            case WebhookTarget():
                return await post_webhook(target, content, now, self.egress)
            case EmailTarget():
                return await send_email(target, content, now, self.mailer, self.egress)
            case SlackTarget():
                return await post_to_slack(target, content, now, self.egress)
            case DiscordTarget():
                return await post_to_discord(target, content, now, self.egress)
            case TeamsTarget():
                return await post_to_teams(target, content, now, self.egress)
            case AppriseTarget():
                return await self.apprise.send(target, content, now)
            case PagerDutyTarget():
                return await post_to_pager_duty(target, content, now, self.egress)
            case _:
                return Outcome(OutcomeKind.CONFIGURATION_BROKEN, LOST_REASON)
