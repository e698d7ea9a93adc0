"""An address gets nothing but a code until its owner has said yes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from monitors.mesh.config import SmtpSettings
from monitors.mesh.masking import Secret
from monitors.mesh.times import DAY, MINUTE, SECOND
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Channel, ConsoleChannel, EmailChannel
from tests.harness import LoopThread
from tests.notifier.mailboxes import code_of, text_of, verify
from tests.notifier.test_email import Mailbox, listening
from tests.notifier.world import RESOLVED, World, notification, running


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def world(loop_thread: LoopThread, tmp_path: Path, mailbox: Mailbox) -> Iterator[World]:
    with loop_thread.opened(listening(mailbox)) as port:
        settings = SmtpSettings("127.0.0.1", port, "none", "monitors", Secret("canary"), "monitors@example.org")
        with running(loop_thread, tmp_path, smtp=settings) as opened:
            yield opened


def create(world: World, *addresses: str, name: str = "mail", tenant: str = "acme") -> pb.CreateChannelResponse:
    channel = Channel(name=name, is_default=True, email=EmailChannel(addresses=addresses))
    return world.stub_of(tenant).CreateChannel(pb.CreateChannelRequest(channel=channel))


def update(world: World, *addresses: str) -> pb.UpdateChannelResponse:
    channel = world.stub.GetChannel(pb.GetChannelRequest(channel_id="mail")).channel
    changed = Channel(id=channel.id, email=EmailChannel(addresses=addresses))
    return world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=changed))


def waiting(world: World, name: str = "mail", tenant: str = "acme") -> list[str]:
    channel = world.stub_of(tenant).GetChannel(pb.GetChannelRequest(channel_id=name)).channel
    return list(channel.email.waiting_addresses)


def enter(world: World, code: str, tenant: str = "acme", name: str = "mail") -> Channel:
    request = pb.VerifyChannelRequest(channel_id=name, code=code)
    return world.stub_of(tenant).VerifyChannel(request).channel


def ask_again(world: World, tenant: str = "acme") -> pb.SendVerificationResponse:
    return world.stub_of(tenant).SendVerification(pb.SendVerificationRequest(channel_id="mail"))


def refusal(call: object, *arguments: object, **named: object) -> grpc.RpcError:
    assert callable(call)
    with pytest.raises(grpc.RpcError) as raised:
        call(*arguments, **named)
    return raised.value


def codes(mailbox: Mailbox) -> list[str]:
    return [code_of(text_of(mail)) for _, mail in mailbox.mails.items]


def test_a_new_address_gets_a_code_and_the_answer_says_what_to_do_next(world: World, mailbox: Mailbox) -> None:
    made = create(world, "ann@example.org", "bob@example.org")
    assert list(made.channel.email.waiting_addresses) == ["ann@example.org", "bob@example.org"]
    assert "monitors channels verify mail CODE" in made.warnings[0]
    assert "waits for verification" in made.channel.disabled_reason
    assert sorted(recipients for recipients, _ in mailbox.mails.items) == [["ann@example.org"], ["bob@example.org"]]
    (_, mail), _ = mailbox.mails.items
    assert f"monitors channels verify mail {code_of(text_of(mail))}" in text_of(mail)
    assert len(set(codes(mailbox))) == 2


def test_until_then_nothing_else_goes_there_and_every_suppression_says_why(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    world.tell(notification("note_1"), notification("note_2", RESOLVED, sequence=2))
    (report, *_) = world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"))
    assert "waits for verification" in report.delivery.detail
    refused = refusal(world.stub.TestChannel, pb.TestChannelRequest(channel_id="mail"))
    assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "monitors channels verify mail CODE" in (refused.details() or "")
    status = world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest())
    assert "the channel 'mail' tells nobody: it waits for verification" in status.problems[0]
    assert len(mailbox.mails.items) == 1


def test_what_still_fires_when_it_is_verified_is_told_then(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    world.tell(
        notification("note_1", alert="alert_1", stream="a"),
        notification("note_2", alert="alert_2", stream="b"),
        notification("note_3", RESOLVED, alert="alert_2", stream="b", sequence=2),
    )
    world.wait_for_states(("note_1", "SUPPRESSED"), ("note_2", "SUPPRESSED"), ("note_3", "SUPPRESSED"))
    assert waiting(world) == ["ann@example.org"]
    enter(world, codes(mailbox)[0])
    mails = mailbox.mails.wait_for_count(2)
    assert [mail["Subject"] for _, mail in mails[1:]] == ["FIRING (high): CPU is hot"]
    assert waiting(world) == []


def test_only_what_is_verified_gets_messages(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org", "bob@example.org")
    enter(world, next(code_of(text_of(mail)) for to, mail in mailbox.mails.items if to == ["bob@example.org"]))
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))
    recipients, mail = mailbox.mails.items[-1]
    assert (recipients, mail["To"]) == (["bob@example.org"], "bob@example.org")


def test_rules_are_told_whether_anybody_hears_of_them(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    assert world.rules.states.items[-1] == {"mail": "CHANNEL_STATE_UNVERIFIED"}
    enter(world, codes(mailbox)[0])
    world.rules.states.wait(lambda states: states[-1] == {"mail": "CHANNEL_STATE_WORKS"})


def test_a_code_is_read_however_it_is_typed(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    code = codes(mailbox)[0].upper().replace("-", " ").replace("0", "O").replace("1", "l")
    assert list(enter(world, f" {code} ").email.waiting_addresses) == []


def test_five_wrong_codes_make_the_right_one_void(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    for _ in range(5):
        refused = refusal(enter, world, "0000-0000")
        assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    refused = refusal(enter, world, codes(mailbox)[0])
    assert refused.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert "--again" in (refused.details() or "")
    world.clock.advance(MINUTE // SECOND)
    ask_again(world)
    enter(world, codes(mailbox)[1])
    assert waiting(world) == []


@pytest.mark.parametrize("call", [enter, ask_again])
def test_a_channel_that_is_not_of_mail_has_no_address_to_verify(world: World, call: Callable[..., object]) -> None:
    world.stub.CreateChannel(pb.CreateChannelRequest(channel=Channel(name="mail", console=ConsoleChannel())))
    refused = refusal(call, world, *(["k7qf-2m9x"] if call is enter else []))
    assert refused.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert refused.details() == (
        "channel_id: the channel 'mail' is of the kind 'console', and only e-mail channels have addresses to verify; "
        "name one of those, or see with `monitors channels test mail` whether this one works"
    )


def test_a_code_is_over_after_a_day(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    world.clock.advance(DAY // SECOND + 1)
    assert refusal(enter, world, codes(mailbox)[0]).code() is grpc.StatusCode.FAILED_PRECONDITION
    assert waiting(world) == ["ann@example.org"]


def test_another_code_replaces_the_first_and_none_comes_too_soon_or_too_often(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    refused = refusal(ask_again, world)
    assert refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    for _ in range(4):
        world.clock.advance(MINUTE // SECOND)
        ask_again(world)
    world.clock.advance(MINUTE // SECOND)
    assert refusal(ask_again, world).code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert len(mailbox.mails.items) == 5
    assert refusal(enter, world, codes(mailbox)[0]).code() is grpc.StatusCode.INVALID_ARGUMENT
    enter(world, codes(mailbox)[-1])
    assert waiting(world) == []


def test_a_code_that_could_not_be_mailed_is_told_and_may_be_asked_for_at_once(world: World, mailbox: Mailbox) -> None:
    mailbox.recipient_answers = ["550 no such mailbox"]
    made = create(world, "ann@example.org")
    assert any("couldn't be mailed to ann@example.org" in warning for warning in made.warnings)
    ask_again(world)
    enter(world, codes(mailbox)[0])


def test_who_is_verified_once_is_for_all_channels_of_the_tenant_and_for_no_other(
    world: World, mailbox: Mailbox
) -> None:
    create(world, "ann@example.org")
    create(world, "Ann@example.org", name="second")
    verify(world.stub, "mail", text_of(mailbox.mails.items[0][1]))
    assert waiting(world) == waiting(world, "second") == []
    world.stub.DeleteChannel(pb.DeleteChannelRequest(channel_id="mail"))
    assert not create(world, "ann@example.org", name="third").warnings
    assert len(mailbox.mails.items) == 1
    assert create(world, "ann@example.org", tenant="globex").channel.email.waiting_addresses
    # A code of the one is none of the other.
    create(world, "eve@example.org", name="mail")
    stolen = codes(mailbox)[-1]
    assert refusal(enter, world, stolen, "globex").code() is grpc.StatusCode.INVALID_ARGUMENT


def test_a_changed_channel_asks_its_new_addresses_alone(world: World, mailbox: Mailbox) -> None:
    create(world, "ann@example.org")
    enter(world, codes(mailbox)[0])
    changed = update(world, "ann@example.org", "bob@example.org")
    assert list(changed.channel.email.waiting_addresses) == ["bob@example.org"]
    assert "bob@example.org" in changed.warnings[0]
    assert [to for to, _ in mailbox.mails.items] == [["ann@example.org"], ["bob@example.org"]]
    update(world, "ann@example.org", "bob@example.org")
    assert len(mailbox.mails.items) == 2


def test_a_mailbox_is_not_flooded_by_many_tenants_and_none_learns_of_another(
    world: World, mailbox: Mailbox, loop_thread: LoopThread
) -> None:
    for number in range(5):
        create(world, f"ann{number}@example.org", name=f"mail{number}")
    for _ in range(5):
        create(world, "ann@example.org", tenant="globex")
        world.stub_of("globex").DeleteChannel(pb.DeleteChannelRequest(channel_id="mail"))
        world.clock.advance(DAY // SECOND + 1)
    told = create(world, "ann@example.org", tenant="globex")
    assert [to for to, _ in mailbox.mails.items].count(["ann@example.org"]) == 6
    mine = create(world, "ann@example.org")
    assert list(mine.warnings) == list(told.warnings)


def test_a_repeat_of_the_request_mails_nothing_more(world: World, mailbox: Mailbox) -> None:
    channel = Channel(name="mail", email=EmailChannel(addresses=["ann@example.org"]))
    request = pb.CreateChannelRequest(channel=channel, request_id="once")
    assert world.stub.CreateChannel(request) == world.stub.CreateChannel(request)
    assert len(mailbox.mails.items) == 1


def test_a_code_stands_in_no_audit_and_no_file(world: World, mailbox: Mailbox, tmp_path: Path) -> None:
    create(world, "ann@example.org")
    wrong = "zzzz-zzzz"
    refused = refusal(enter, world, wrong)
    world.clock.advance(MINUTE // SECOND)
    ask_again(world)
    enter(world, codes(mailbox)[1])
    admin = world.stub_of("acme-admin")
    events = admin.ListNotifierAuditEvents(pb.ListNotifierAuditEventsRequest())
    told = [(event.method, event.user) for event in events.events]
    assert told == [("VerifyChannel", "ann"), ("SendVerification", "ann"), ("CreateChannel", "ann")]
    seen = [str(events).encode(), (refused.details() or "").encode()]
    seen += [file.read_bytes() for file in tmp_path.rglob("*.db*")]
    for code in (*codes(mailbox), *(code.replace("-", "") for code in codes(mailbox))):
        assert not any(code.encode() in one for one in seen)
    assert wrong not in (refused.details() or "")
