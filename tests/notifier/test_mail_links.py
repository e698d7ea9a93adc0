"""Links in mails: an address is verified and unsubscribes by them, by a button or by one click of a mail program."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.mesh.channel_links import LIFETIME, ChannelLink, sign
from monitors.mesh.config import Mailer, PageSettings, SendGridSettings, SmtpSettings
from monitors.mesh.masking import Secret
from monitors.mesh.master_keys import MasterKey, read_keys
from monitors.mesh.secrets import Sealer
from monitors.mesh.times import DAY, SECOND
from monitors.notifier.mail_links import UNSUBSCRIBE_PATH, VERIFY_PATH, LinkInvalid, MailLink, MailLinks
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.alert_pb2 import AlertDelivery
from monitors.v1.mesh_pb2 import DeliveryReport
from monitors.v1.notification_pb2 import Channel, ConsoleChannel, EmailChannel
from tests.browser import FORM, Page, fetch
from tests.harness import LoopThread
from tests.notifier.mailboxes import LINK, text_of, verify
from tests.notifier.providers.sendgrid import KEY, SENDER, SendGrid
from tests.notifier.test_email import Mailbox, listening, make_channel
from tests.notifier.world import Receiver, World, notification, running
from tests.ports import free_port

ORIGIN = "https://alerts.example.org/m"


@dataclass
class Mailing:
    """A notifier whose page people reach, and what it mails."""

    world: World
    mailbox: Mailbox
    port: int

    def here(self, url: str) -> str:
        """Where a link leads behind the proxy."""
        assert url.startswith(ORIGIN)
        return f"http://127.0.0.1:{self.port}{url.removeprefix(ORIGIN)}"

    def create(self, *addresses: str, name: str = "mail") -> None:
        channel = Channel(name=name, is_default=True, email=EmailChannel(addresses=addresses))
        self.world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))

    def verification_of(self, number: int) -> str:
        found = LINK.search(text_of(self.mailbox.mails.items[number][1]))
        assert found
        return self.here(found.group())

    def unsubscribing_of(self, mail: EmailMessage) -> str:
        return self.here(str(mail["List-Unsubscribe"]).strip("<>"))

    @property
    def channel(self) -> Channel:
        return self.world.stub.GetChannel(pb.GetChannelRequest(channel_id="mail")).channel

    def told(self, note: str) -> list[EmailMessage]:
        """Tells something, when its group is idle, and gives the mails that say it."""
        before = len(self.mailbox.mails.items)
        self.world.clock.advance(120)
        self.world.tell(notification(note, stream=note, alert=note))
        self.world.rules.reports.wait(
            lambda reports: any((one.notification_id, one.channel) == (note, "mail") for one in map(_delivery, reports))
        )
        return [mail for _, mail in self.mailbox.mails.items[before:]]


def _delivery(report: DeliveryReport) -> AlertDelivery:
    return report.delivery


def page_settings() -> PageSettings:
    return PageSettings("127.0.0.1", free_port(), ORIGIN)


@pytest.fixture
def mailing(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Mailing]:
    mailbox, page = Mailbox(), page_settings()
    with loop_thread.opened(listening(mailbox)) as port:
        smtp = SmtpSettings("127.0.0.1", port, "none", "monitors", Secret("canary"), "monitors@example.org")
        with running(loop_thread, tmp_path, smtp=smtp, page=page) as world:
            yield Mailing(world, mailbox, page.port)


def one_click(url: str) -> Page:
    """As a mail program unsubscribes (RFC 8058, 3.2): without anything that says who it is."""
    return fetch(url, b"List-Unsubscribe=One-Click", {"Content-Type": FORM})


def test_a_link_verifies_by_its_button_alone_and_once(mailing: Mailing) -> None:
    mailing.create("ann@example.org")
    url = mailing.verification_of(0)
    page = fetch(url)
    assert (page.status, "ann@example.org" in page.text, "mail of the account acme" in page.text) == (200, True, True)
    assert list(mailing.channel.email.waiting_addresses) == ["ann@example.org"]
    assert page.submit({}).status == 200
    assert list(mailing.channel.email.waiting_addresses) == []
    assert (fetch(url).status, page.submit({}).status) == (410, 410)
    assert len(mailing.told("note_1")) == 1


def test_the_page_for_channels_says_what_to_do_with_the_code(mailing: Mailing) -> None:
    mailing.world.rules.pages.wait_for_count(1)
    expire_time = (mailing.world.clock.now() + LIFETIME) // SECOND * SECOND
    key = mailing.world.rules.pages.items[-1].key
    token = sign(ChannelLink("acme", "ann", "mail", expire_time), key)
    page = fetch(f"http://127.0.0.1:{mailing.port}/channels/new?link={token}")
    done = page.submit({"kind": "email", "email.addresses": "ann@example.org"})
    assert done.status == 201
    assert "monitors channels verify mail CODE" in done.text
    assert "Nothing but the code was sent" in done.text
    mailing.mailbox.mails.wait_for_count(1)


def test_a_link_is_over_with_its_code(mailing: Mailing) -> None:
    mailing.create("ann@example.org")
    mailing.world.clock.advance(DAY // SECOND + 1)
    assert fetch(mailing.verification_of(0)).status == 410
    mailing.world.stub.SendVerification(pb.SendVerificationRequest(channel_id="mail"))
    assert fetch(mailing.verification_of(0), b"", {"Content-Type": FORM}).status == 410
    assert fetch(mailing.verification_of(1), b"", {"Content-Type": FORM}).status == 200
    assert list(mailing.channel.email.waiting_addresses) == []


def test_each_reader_gets_a_link_of_their_own_that_mail_programs_can_read(mailing: Mailing) -> None:
    mailing.create("ann@example.org", "bob@example.org")
    verify(mailing.world.stub, "mail", *(text_of(mail) for _, mail in mailing.mailbox.mails.items))
    mails = mailing.told("note_1")
    assert [mail["To"] for mail in mails] == ["ann@example.org", "bob@example.org"]
    assert len({mail["List-Unsubscribe"] for mail in mails}) == 2
    for mail in mails:
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert re.fullmatch(rf"<{re.escape(ORIGIN)}/channels/unsubscribe\?link=[\w.-]+>", mail["List-Unsubscribe"])
        assert "example.org" not in urlsplit(mail["List-Unsubscribe"].strip("<>")).query


def test_one_click_unsubscribes_and_whoever_looks_at_the_page_does_not(mailing: Mailing) -> None:
    mailing.create("ann@example.org", "bob@example.org")
    verify(mailing.world.stub, "mail", *(text_of(mail) for _, mail in mailing.mailbox.mails.items))
    tty = Channel(name="tty", is_default=True, console=ConsoleChannel())
    mailing.world.stub.CreateChannel(pb.CreateChannelRequest(channel=tty))
    ann, _ = mailing.told("note_1")
    url = mailing.unsubscribing_of(ann)
    page = fetch(url)
    assert (page.status, "ann@example.org" in page.text) == (200, True)
    assert list(mailing.channel.email.unsubscribed_addresses) == []
    assert one_click(url).status == 200
    assert list(mailing.channel.email.unsubscribed_addresses) == ["ann@example.org"]
    assert [mail["To"] for mail in mailing.told("note_2")] == ["bob@example.org"]
    # The owner hears of it another way, once, and it stands in the audit.
    mailing.world.lines.wait(lambda lines: any("ann@example.org has unsubscribed" in line for line in lines))
    assert one_click(url).status == 200
    admin = mailing.world.stub_of("acme-admin")
    events = admin.ListNotifierAuditEvents(pb.ListNotifierAuditEventsRequest()).events
    assert [event.method for event in events].count("UnsubscribeAddress") == 1
    token = url.partition("link=")[2]
    assert token not in str(events)


def test_a_channel_that_everybody_has_left_says_so_and_suppresses(mailing: Mailing) -> None:
    mailing.create("ann@example.org")
    verify(mailing.world.stub, "mail", text_of(mailing.mailbox.mails.items[0][1]))
    (mail,) = mailing.told("note_1")
    assert fetch(mailing.unsubscribing_of(mail)).submit({}).status == 200
    assert "every address has unsubscribed" in mailing.channel.disabled_reason
    assert mailing.told("note_2") == []
    (report,) = [one for one in mailing.world.rules.reports.items if one.delivery.notification_id == "note_2"]
    assert "every address has unsubscribed" in report.delivery.detail


def test_who_has_unsubscribed_is_asked_anew(mailing: Mailing) -> None:
    mailing.create("ann@example.org", "bob@example.org")
    verify(mailing.world.stub, "mail", *(text_of(mail) for _, mail in mailing.mailbox.mails.items))
    ann, _ = mailing.told("note_1")
    one_click(mailing.unsubscribing_of(ann))
    changed = Channel(id=mailing.channel.id, email=EmailChannel(addresses=["ann@example.org", "bob@example.org"]))
    answer = mailing.world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=changed))
    assert "has unsubscribed" in answer.warnings[0]
    changed.email.addresses[:] = ["bob@example.org"]
    mailing.world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=changed))
    changed.email.addresses[:] = ["ann@example.org", "bob@example.org"]
    mailing.world.clock.advance(61)
    answer = mailing.world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=changed))
    assert list(answer.channel.email.waiting_addresses) == ["ann@example.org"]
    assert mailing.mailbox.mails.items[-1][0] == ["ann@example.org"]


@pytest.mark.parametrize("path", [VERIFY_PATH, UNSUBSCRIBE_PATH])
def test_a_link_that_was_changed_does_nothing(mailing: Mailing, path: str) -> None:
    mailing.create("ann@example.org")
    token = mailing.verification_of(0).partition("link=")[2]
    page = f"http://127.0.0.1:{mailing.port}{path}?link="
    for wrong in ("", "x", token[:-1], f"A{token}", "x" * 5000):
        assert fetch(page + wrong).status == fetch(page + wrong, b"", {"Content-Type": FORM}).status == 404
    # What verifies doesn't unsubscribe.
    assert fetch(page + token).status == (200 if path == VERIFY_PATH else 404)


def test_sendgrid_gets_a_link_for_each_reader(loop_thread: LoopThread, tmp_path: Path) -> None:
    make_channel(loop_thread, tmp_path, "ann@example.org", "bob@example.org")
    provider = SendGrid()
    with loop_thread.opened(Receiver(provider).listening()) as listening_:
        mailer: Mailer = SendGridSettings(Secret(KEY), SENDER, listening_.url)
        with running(loop_thread, tmp_path, smtp=mailer, page=page_settings()) as world:
            world.tell(notification("note_1"))
            world.wait_for_states(("note_1", "ACCEPTED"))
    (mail,) = provider.queued
    headers = [one["headers"] for one in mail["personalizations"]]
    assert [one["to"] for one in mail["personalizations"]] == [
        [{"email": "ann@example.org"}],
        [{"email": "bob@example.org"}],
    ]
    assert len({one["List-Unsubscribe"] for one in headers}) == 2
    assert {one["List-Unsubscribe-Post"] for one in headers} == {"List-Unsubscribe=One-Click"}


def test_without_a_public_page_there_is_one_mail_without_links(loop_thread: LoopThread, tmp_path: Path) -> None:
    mailbox = Mailbox()
    with loop_thread.opened(listening(mailbox)) as port:
        smtp = SmtpSettings("127.0.0.1", port, "none", "monitors", Secret("canary"), "monitors@example.org")
        with running(loop_thread, tmp_path, smtp=smtp) as world:
            channel = Channel(name="mail", is_default=True, email=EmailChannel(addresses=["ann@example.org"]))
            world.stub.CreateChannel(pb.CreateChannelRequest(channel=channel))
            assert not LINK.search(text_of(mailbox.mails.items[0][1]))
            verify(world.stub, "mail", text_of(mailbox.mails.items[0][1]))
            world.tell(notification("note_1"))
            world.wait_for_states(("note_1", "DELIVERED"))
    assert "List-Unsubscribe" not in mailbox.mails.items[-1][1]


def sealer(name: str) -> Sealer:
    keys: tuple[MasterKey, ...] = read_keys(f"{name}:{'A' * 43}=")
    return Sealer(keys)


names = st.text(st.characters(exclude_categories=["Cs"]), max_size=64)


@given(st.builds(MailLink, names, names, names, names), st.text(max_size=40))
def test_only_what_was_signed_opens_and_says_what_it_said(link: MailLink, other: str) -> None:
    links = MailLinks(ORIGIN, sealer("one"))
    token = links.token(VERIFY_PATH, link)
    if len(token) <= 1_000:
        assert links.open(VERIFY_PATH, token) == link
    for wrong in (other, token + other if other else "", token[1:]):
        with pytest.raises(LinkInvalid):
            links.open(VERIFY_PATH, wrong)
    with pytest.raises(LinkInvalid):
        links.open(UNSUBSCRIBE_PATH, token)
