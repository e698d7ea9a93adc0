"""E-mail, through a real mail server that demands a login."""

import asyncio
import email
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from monitors.mesh.config import SmtpSettings
from monitors.mesh.masking import Secret
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import (
    DELIVERY_OUTCOME_AMBIGUOUS,
    DELIVERY_OUTCOME_FINAL,
    DELIVERY_OUTCOME_OK,
    DELIVERY_OUTCOME_RETRYABLE,
    Channel,
    DeliveryAttempt,
    EmailChannel,
    Grouping,
)
from tests.certificates import make_certificate
from tests.harness import LoopThread
from tests.notifier.mailboxes import text_of, verify
from tests.notifier.world import Record, notification, running


class Mailbox:
    """What the server has taken, and what it answers to the next recipients and messages."""

    def __init__(self) -> None:
        self.mails: Record[tuple[list[str], EmailMessage]] = Record()
        self.recipient_answers: list[str] = []
        self.data_answers: list[str] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answer = self.recipient_answers.pop(0) if self.recipient_answers else "250 fine"
        if answer.startswith("250"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        answer = self.data_answers.pop(0) if self.data_answers else "250 taken"
        assert isinstance(envelope.content, bytes)
        parsed = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(parsed, EmailMessage)
        self.mails.add((list(envelope.rcpt_tos), parsed))
        if answer == "drop":
            assert isinstance(server.transport, asyncio.Transport)
            server.transport.abort()
        return answer


def check_login(server: SMTP, session: Session, envelope: Envelope, mechanism: str, login: Any) -> AuthResult:
    right = isinstance(login, LoginPassword) and (login.login, login.password) == (b"monitors", b"canary")
    return AuthResult(success=right, handled=False)


def make_server(mailbox: Mailbox) -> SMTP:
    """A server that takes a login without TLS, since there is no certificate on loopback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SMTP(mailbox, auth_required=True, auth_require_tls=False, authenticator=check_login)


@asynccontextmanager
async def listening(mailbox: Mailbox) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: make_server(mailbox), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def smtp(loop_thread: LoopThread, mailbox: Mailbox) -> Iterator[SmtpSettings]:
    with loop_thread.opened(listening(mailbox)) as port:
        yield SmtpSettings("127.0.0.1", port, "none", "monitors", Secret("canary"), "Monitors <alerts@example.org>")


def send_test(loop: LoopThread, folder: Path, settings: SmtpSettings, *addresses: str) -> DeliveryAttempt:
    make_channel(loop, folder, *addresses)
    with running(loop, folder, smtp=settings) as world:
        return world.stub.TestChannel(pb.TestChannelRequest(channel_id="mail")).attempt


def make_channel(loop: LoopThread, folder: Path, *addresses: str, grouping: Grouping | None = None) -> None:
    """Makes a channel `mail` whose addresses are verified, by a notifier and a mail server that then are gone."""
    mailbox = Mailbox()
    email_channel = EmailChannel(addresses=addresses or ["ann@example.org"])
    with loop.opened(listening(mailbox)) as port:
        settings = SmtpSettings("127.0.0.1", port, "none", "monitors", Secret("canary"), "monitors@example.org")
        with running(loop, folder, smtp=settings) as world:
            channel = Channel(name="mail", is_default=True, email=email_channel, grouping=grouping)
            world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))
            verify(world.stub, "mail", *(text_of(mail) for _, mail in mailbox.mails.items))


def test_an_alert_arrives_by_mail_as_text_and_html(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, mailbox: Mailbox
) -> None:
    mailbox.data_answers = ["451 later"]
    make_channel(loop_thread, tmp_path, "ann@example.org", "bob@example.org")
    with running(loop_thread, tmp_path, smtp=smtp) as world:
        world.tell(notification("note_1", title="Größe\r\nBcc: eve@example.org"))
        world.rules.reports.wait_for_count(1)
        world.clock.advance(3)
        world.wait_for_states(("note_1", "DELIVERED"))
    (_, first), (recipients, mail) = mailbox.mails.items
    assert recipients == ["ann@example.org", "bob@example.org"]
    assert mail["Message-ID"] == first["Message-ID"]
    assert mail["Message-ID"].startswith("<note_1_chan_")
    assert mail["Subject"] == "FIRING (high): Größe  Bcc: eve@example.org"
    assert mail["Bcc"] is None
    assert mail["From"] == "Monitors <alerts@example.org>"
    assert mail["Auto-Submitted"] == "auto-generated"
    text, html = (mail.get_body((kind,)) for kind in ("plain", "html"))
    assert text is not None
    assert html is not None
    assert "monitors alerts ack alert_1" in text.get_content()
    assert "<h2" in html.get_content()


@pytest.mark.parametrize(
    ("recipient_answers", "data_answers", "outcome", "status", "words"),
    [
        (["550 no"], [], DELIVERY_OUTCOME_FINAL, 550, "refused all recipients"),
        (["451 later"], [], DELIVERY_OUTCOME_RETRYABLE, 451, "refused all recipients"),
        (["250 fine", "550 no"], [], DELIVERY_OUTCOME_OK, 250, "not to bob@example.org"),
        ([], ["554 spam"], DELIVERY_OUTCOME_FINAL, 554, "answered 554"),
        ([], ["452 full"], DELIVERY_OUTCOME_RETRYABLE, 452, "answered 452"),
        ([], ["drop"], DELIVERY_OUTCOME_AMBIGUOUS, 0, "whether it has the message is unknown"),
    ],
)
def test_what_the_mail_servers_answer_means(
    loop_thread: LoopThread,
    tmp_path: Path,
    smtp: SmtpSettings,
    mailbox: Mailbox,
    recipient_answers: list[str],
    data_answers: list[str],
    outcome: int,
    status: int,
    words: str,
) -> None:
    mailbox.recipient_answers, mailbox.data_answers = recipient_answers, data_answers
    addresses = ["ann@example.org", "bob@example.org"] if len(recipient_answers) == 2 else ["ann@example.org"]
    attempt = send_test(loop_thread, tmp_path, smtp, *addresses)
    assert (attempt.outcome, attempt.status, words in attempt.detail) == (outcome, status, True), attempt.detail


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"password": Secret("wrong")}, "SMTP_PASSWORD"), ({"port": 1}, "SMTP_HOST"), ({"security": "tls"}, "SMTP")],
)
def test_a_mail_server_that_cannot_be_used_is_the_operators_to_mend(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, changes: dict[str, Any], words: str
) -> None:
    attempt = send_test(loop_thread, tmp_path, replace(smtp, **changes))
    assert attempt.outcome == DELIVERY_OUTCOME_RETRYABLE
    assert words in attempt.detail
    assert "canary" not in attempt.detail


def make_context(folder: Path, address: str) -> tuple[ssl.SSLContext, str]:
    """What a server for an address needs for TLS, and the file by which its certificate is checked."""
    certificate, key = make_certificate(folder, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, str(certificate)


@asynccontextmanager
async def listening_safely(mailbox: Mailbox, context: ssl.SSLContext, security: str) -> AsyncIterator[int]:
    """A server that takes a login, and mail, after TLS alone."""

    def make() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            starts = security == "starttls"
            # aiosmtpd knows of TLS that it has started alone, so where all is TLS it can't demand it.
            return SMTP(
                mailbox,
                tls_context=context if starts else None,
                require_starttls=starts,
                auth_required=True,
                auth_require_tls=starts,
                authenticator=check_login,
            )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(make, "127.0.0.1", 0, ssl=context if security == "tls" else None)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_a_mail_goes_by_tls_to_a_server_whose_certificate_is_checked(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, mailbox: Mailbox, security: str
) -> None:
    context, trusted = make_context(tmp_path / "own", "127.0.0.1")
    with loop_thread.opened(listening_safely(mailbox, context, security)) as port:
        safe = replace(smtp, port=port, security=security, ca_file=trusted)
        (tmp_path / "trusting").mkdir()
        attempt = send_test(loop_thread, tmp_path / "trusting", safe)
        assert attempt.outcome == DELIVERY_OUTCOME_OK, attempt.detail
        (tmp_path / "doubting").mkdir()
        attempt = send_test(loop_thread, tmp_path / "doubting", replace(safe, ca_file=""))
        assert (attempt.outcome, "SMTP_CA_FILE" in attempt.detail) == (DELIVERY_OUTCOME_RETRYABLE, True)
    assert len(mailbox.mails.items) == 1


def test_a_certificate_of_another_server_is_refused(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, mailbox: Mailbox
) -> None:
    context, trusted = make_context(tmp_path / "other", "127.0.0.2")
    with loop_thread.opened(listening_safely(mailbox, context, "tls")) as port:
        attempt = send_test(loop_thread, tmp_path, replace(smtp, port=port, security="tls", ca_file=trusted))
    assert (attempt.outcome, mailbox.mails.items) == (DELIVERY_OUTCOME_RETRYABLE, [])
