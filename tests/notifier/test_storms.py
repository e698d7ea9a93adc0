"""A storm in a channel that people read: few messages, the critical ones first, and each row says what told it."""

from collections import Counter
from pathlib import Path

from monitors.mesh.config import SmtpSettings
from monitors.mesh.masking import Secret
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import Delivery, Notification
from tests.harness import LoopThread
from tests.notifier.test_email import Mailbox, listening, make_channel
from tests.notifier.test_grouping import delivered, make_slack, taken_in, texts
from tests.notifier.world import Receiver, World, notification, running
from tests.waiting import wait_for

MANY = 10_000


def fires(number: int, *, critical: bool = False) -> Notification:
    """One of as many rules as there are alerts."""
    made = notification(
        f"note_{number}", alert=f"alert_{number}", stream=f"rule_{number}/a", sequence=number, title=f"Rule {number}",
        severity=rule_pb2.SEVERITY_CRITICAL if critical else rule_pb2.SEVERITY_HIGH,
        # Of another monitor, for it would mute the others.
        monitor="mon_other" if critical else "mon_host",
    )  # fmt: skip
    made.alert.rule_id = f"rule_{number}"
    return made


def log_of(world: World) -> list[Delivery]:
    found: list[Delivery] = []
    token = ""
    while True:
        answer = world.stub.ListDeliveries(pb.ListDeliveriesRequest(page_size=1000, page_token=token))
        found += answer.deliveries
        token = answer.next_page_token
        if not token:
            return found


def is_at_rest(world: World) -> bool:
    return world.stub.GetNotifierStatus(pb.GetNotifierStatusRequest()).pending_count == 0


def test_a_storm_of_ten_thousand_is_a_few_mails_the_critical_ones_first_and_none_is_lost(
    loop_thread: LoopThread, tmp_path: Path
) -> None:
    mailbox = Mailbox()
    make_channel(loop_thread, tmp_path)
    with loop_thread.opened(listening(mailbox)) as port:
        smtp = SmtpSettings("127.0.0.1", port, "monitors@example.org", "monitors", Secret("canary"), "none")
        with running(loop_thread, tmp_path, smtp=smtp) as world:
            for start in range(1, MANY, 500):
                world.tell(*(fires(n, critical=n <= 500 and n % 50 == 0) for n in range(start, start + 500)))
            taken_in(world, MANY)
            mailbox.mails.wait_for_count(10)
            assert all(mail["Subject"].startswith("FIRING (critical)") for _, mail in mailbox.mails.items[:10])
            world.clock.advance(10)
            mailbox.mails.wait_for_count(11)
            world.clock.advance(60)
            wait_for(lambda: is_at_rest(world), "all to be told", 60, every=0.2)
            log = log_of(world)
    mails = [mail["Subject"] for _, mail in mailbox.mails.items]
    assert len(mails) <= 20
    assert sum(subject.startswith("DIGEST: ") for subject in mails) >= 1
    assert Counter(one.state for one in log) == {alert_pb2.DELIVERY_STATE_DELIVERED: MANY}
    assert sum("told in a digest" in one.detail for one in log) == MANY - 10


def test_what_waited_when_the_storm_began_goes_with_the_digest(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    # Two of one rule: the second waits for its group.
    second = fires(2)
    second.alert.rule_id = "rule_1"
    world.tell(fires(1), second)
    receiver.received.wait_for_count(1)
    world.tell(*(fires(n) for n in range(3, 23)))
    taken_in(world, 22)
    assert texts(receiver) == ["FIRING (high)"]
    world.clock.advance(11)
    world.wait_for_states(*delivered(*(f"note_{n}" for n in range(1, 23))))
    assert texts(receiver) == ["FIRING (high)", "DIGEST"]
    assert "told in a digest with 20 more" in {one.notification_id: one.detail for one in log_of(world)}["note_2"]


def test_after_a_storm_alerts_are_told_as_before(world: World, receiver: Receiver) -> None:
    make_slack(world, receiver)
    world.tell(*(fires(n) for n in range(1, 22)))
    taken_in(world, 21)
    world.clock.advance(11)
    receiver.received.wait_for_count(1)
    world.clock.advance(3 * 60)
    world.tell(fires(30))
    taken_in(world, 22)
    assert texts(receiver) == ["DIGEST"]
    world.clock.advance(11)
    receiver.received.wait_for_count(2)
    world.clock.advance(4 * 60)
    world.tell(fires(31))
    receiver.received.wait_for_count(3)
    assert texts(receiver) == ["DIGEST", "FIRING (high)", "FIRING (high)"]
