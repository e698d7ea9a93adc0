"""Hands a mail to the operator's mail server and judges its answer."""

import asyncio
import ssl
from collections.abc import Sequence

import aiosmtplib

from monitors.mesh.config import SmtpSettings
from monitors.mesh.outbound import connect
from monitors.notifier.channels.email.letters import Letter
from monitors.notifier.model.delivery import Outcome, OutcomeKind

TIMEOUT_SECONDS = 12.0


async def send(letters: Sequence[Letter], settings: SmtpSettings) -> Outcome:
    """Sends letters that are one message by one connection. What some readers have got and others were refused has
    arrived; if the server is lost before the last one, all are sent again."""
    try:
        client = await _connected(settings)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        return Outcome(OutcomeKind.RETRYABLE, _why_not_connected(error), _code(error))
    refusals: list[Outcome] = []
    refused: list[str] = []
    try:
        for letter in letters:
            without, outcome = await _hand_over(client, letter)
            refused += without
            if outcome.kind is OutcomeKind.AMBIGUOUS:
                return outcome
            if outcome.kind is not OutcomeKind.OK:
                refusals.append(outcome)
    finally:
        client.close()
    if len(refusals) == len(letters):
        return next((one for one in refusals if one.kind is OutcomeKind.RETRYABLE), refusals[0])
    if refused:
        return Outcome(OutcomeKind.OK, f"sent, but not to {', '.join(sorted(refused))}: the mail server refused", 250)
    return Outcome(OutcomeKind.OK, "the mail server has taken it", 250)


async def _hand_over(client: aiosmtplib.SMTP, letter: Letter) -> tuple[Sequence[str], Outcome]:
    """The addresses of a letter that don't get it, and what came of it."""
    try:
        refused, _ = await client.send_message(letter.whole, recipients=list(letter.addresses))
    except aiosmtplib.SMTPRecipientsRefused as error:
        return letter.addresses, _all_refused([one.code for one in error.recipients])
    except aiosmtplib.SMTPResponseException as error:
        return letter.addresses, _refused(error.code, error.message)
    except (aiosmtplib.SMTPException, OSError):
        lost = "the mail server didn't answer; whether it has the message is unknown"
        return letter.addresses, Outcome(OutcomeKind.AMBIGUOUS, lost)
    return list(refused), Outcome(OutcomeKind.OK, "", 250)


async def _connected(settings: SmtpSettings) -> aiosmtplib.SMTP:
    """Connecting also says hello, starts TLS and logs in; until it's done nothing can have been sent."""
    async with asyncio.timeout(TIMEOUT_SECONDS):
        opened = await connect(settings.host, settings.port)
    client = aiosmtplib.SMTP(
        # The name that its certificate must have.
        hostname=settings.host,
        sock=opened,
        username=settings.username or None,
        password=settings.password.reveal() or None,
        timeout=TIMEOUT_SECONDS,
        use_tls=settings.security == "tls",
        start_tls=settings.security == "starttls",
        cert_bundle=settings.ca_file or None,
    )
    try:
        await client.connect()
    except BaseException:
        client.close()
        opened.close()
        raise
    return client


def _refused(code: int, message: str) -> Outcome:
    """RFC 1870 has 552 for what is too large, and RFC 3463 has 5.2.3 and 5.3.4; 5.2.2 is a mailbox that is full."""
    status = message.split(maxsplit=1)[:1]
    if status in (["5.2.3"], ["5.3.4"]) or (code == 552 and status != ["5.2.2"]):
        kind = OutcomeKind.TOO_LARGE
    else:
        kind = OutcomeKind.FINAL if 500 <= code < 600 else OutcomeKind.RETRYABLE
    return Outcome(kind, f"the mail server answered {code}", code)


def _all_refused(codes: list[int]) -> Outcome:
    permanent = all(500 <= code < 600 for code in codes)
    code = codes[0] if codes else 0
    kind = OutcomeKind.FINAL if permanent else OutcomeKind.RETRYABLE
    return Outcome(kind, f"the mail server refused all recipients ({code})", code)


def _why_not_connected(error: Exception) -> str:
    if isinstance(error, aiosmtplib.SMTPAuthenticationError):
        return "the mail server refused the login; the operator checks SMTP_USERNAME and SMTP_PASSWORD"
    if isinstance(error.__cause__, ssl.SSLCertVerificationError) or isinstance(error, ssl.SSLCertVerificationError):
        return "the mail server's certificate isn't trusted; the operator checks SMTP_HOST and SMTP_CA_FILE"
    return "the mail server can't be reached; the operator checks SMTP_HOST, SMTP_PORT and SMTP_SECURITY"


def _code(error: Exception) -> int:
    return error.code if isinstance(error, aiosmtplib.SMTPResponseException) else 0
