"""Sends a message as a mail, by the mail server or the service that the operator has configured."""

from monitors.mesh.config import Mailer, SendGridSettings, SmtpSettings
from monitors.notifier.channels.email import sendgrid, several, smtp
from monitors.notifier.channels.email.render import render
from monitors.notifier.egress import Egress
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.picture import Picture
from monitors.notifier.model.targets import EmailTarget


async def send(
    target: EmailTarget, content: Content, now: int, mailer: Mailer | None, egress: Egress, picture: Picture | None
) -> Outcome:
    """Sends one mail to all addresses of the channel."""
    if mailer is None:
        why = "the notifier has no mail server; the operator sets SMTP_HOST or SENDGRID_API_KEY"
        return Outcome(OutcomeKind.RETRYABLE, why)
    if isinstance(content, Bundle):
        mail = several.render(content, mailer.sender, target.addresses, now)
    else:
        mail = render(content, mailer.sender, target.addresses, now, picture)
    match mailer:
        case SmtpSettings():
            return await smtp.send(mail, target.addresses, mailer)
        case SendGridSettings():
            return await sendgrid.send(mail, target.addresses, content.id, mailer, egress)
