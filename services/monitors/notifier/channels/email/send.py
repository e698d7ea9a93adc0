"""Sends a message as a mail, by the mail server or the service that the operator has configured."""

from collections.abc import Sequence
from dataclasses import dataclass

from monitors.mesh.config import Mailer, SendGridSettings, SmtpSettings
from monitors.notifier.channels.email import sendgrid, several, smtp
from monitors.notifier.channels.email.letters import Letter, letters
from monitors.notifier.channels.email.render import render
from monitors.notifier.channels.wording import Wording
from monitors.notifier.egress import Egress
from monitors.notifier.mail_links import MailLinks
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.picture import Picture
from monitors.notifier.model.targets import EmailTarget

NO_MAIL_SERVER = "the notifier has no mail server; the operator sets SMTP_HOST or SENDGRID_API_KEY"


@dataclass(frozen=True)
class Post:
    """What takes letters: the mail server or service, the way out to it, and the links in mails."""

    mailer: Mailer | None
    egress: Egress
    links: MailLinks

    async def hand_over(self, written: Sequence[Letter], identifier: str) -> Outcome:
        """Sends letters that are one message."""
        match self.mailer:
            case SmtpSettings() as settings:
                return await smtp.send(written, settings)
            case SendGridSettings() as settings:
                return await sendgrid.send(written, identifier, settings, self.egress)
            case None:
                return Outcome(OutcomeKind.RETRYABLE, NO_MAIL_SERVER)


async def send(
    channel: Channel,
    target: EmailTarget,
    content: Content,
    now: int,
    post: Post,
    picture: Picture | None,
    wording: Wording,
) -> Outcome:
    """Sends a mail to the addresses of the channel that are written to."""
    if post.mailer is None:
        return Outcome(OutcomeKind.RETRYABLE, NO_MAIL_SERVER)
    sender, addresses = post.mailer.sender, target.receiving
    if isinstance(content, Bundle):
        mail = several.render(content, sender, addresses, now, wording)
    else:
        mail = render(content, sender, addresses, now, picture, wording)
    return await post.hand_over(letters(mail, channel, addresses, post.links), content.id)
