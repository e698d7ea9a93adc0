"""A whole night, as it's told in each kind of channel, in one file that a person can read: `golden/night.txt`.

It's written anew by `python -m pytest tests/notifier/test_night.py` with `MONITORS_TESTS_WRITE=1`, and looked at before
it's committed.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from monitors.mesh.config import SmtpSettings
from monitors.mesh.masking import Secret
from monitors.mesh.times import SECOND
from monitors.v1 import alert_pb2, rule_pb2
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.mesh_pb2 import DeliveryReport
from tests.harness import LoopThread
from tests.notifier.mailboxes import text_of, verify
from tests.notifier.providers import discord, pager_duty, slack, teams
from tests.notifier.providers.strict import Provider
from tests.notifier.test_channels import create
from tests.notifier.test_email import Mailbox, listening
from tests.notifier.world import (
    ACKNOWLEDGED,
    FIRING,
    RESOLVED,
    MovableClock,
    Received,
    Receiver,
    World,
    notification,
    running,
)

GOLDEN = Path(__file__).parent / "golden" / "night.txt"
EVENING = datetime(2026, 12, 1, 18, 0, tzinfo=UTC)
FINAL = ("DELIVERED", "ACCEPTED", "SUPPRESSED", "SUPERSEDED", "DEAD")
# Ids are made anew each time.
IDS = re.compile(r"\b(chan|mute|esc|dlv)_[0-9a-z]{12}\b")
HIGH, LOW = rule_pb2.SEVERITY_HIGH, rule_pb2.SEVERITY_LOW


class NightClock(MovableClock):
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        super().__init__()
        self._ahead = int(EVENING.timestamp()) * SECOND

    def now(self) -> int:
        return self._ahead

    def move_to(self, moment: datetime) -> None:
        self.advance(moment.timestamp() - self._ahead / SECOND)


def chat_lines(one: Received) -> list[str]:
    sent = json.loads(one.body)
    return [sent["text"], *sent["blocks"][1]["text"]["text"].split("\n")]


def discord_lines(one: Received) -> list[str]:
    sent = json.loads(one.body)
    return [sent["content"], *sent["embeds"][0]["description"].split("\n")]


def card_lines(one: Received) -> list[str]:
    card = json.loads(one.body)["attachments"][0]["content"]
    return ["".join(run["text"] for run in block["inlines"]) for block in card["body"]]


def event_lines(one: Received) -> list[str]:
    event = json.loads(one.body)
    lines = [f"{event['event_action']} {event['dedup_key']}"]
    if "payload" in event:
        lines.append(f"{event['payload']['severity']}: {event['payload']['summary']}")
        lines += [f"{name}: {value}" for name, value in event["payload"]["custom_details"].items()]
    return lines


def hook_lines(one: Received) -> list[str]:
    return json.dumps(json.loads(one.body), indent=1, ensure_ascii=False).split("\n")


def mail_lines(one: tuple[list[str], EmailMessage]) -> list[str]:
    recipients, mail = one
    text = mail.get_body(("plain",))
    assert text is not None
    return [f"To: {', '.join(recipients)}", f"Subject: {mail['Subject']}", *text.get_content().strip().splitlines()[2:]]


@dataclass
class Inbox:
    """What arrives at a channel: where it's recorded, and how it reads."""

    items: Callable[[], list[Any]]
    lines: Callable[[Any], list[str]]
    seen: int = 0

    def news(self) -> list[list[str]]:
        items = self.items()[self.seen :]
        self.seen += len(items)
        return [self.lines(item) for item in items]


@dataclass
class Night:
    """The night so far, and what was told of it."""

    world: World
    inboxes: dict[str, Inbox]
    sequence: int = 0
    text: list[str] = field(default_factory=list)
    known: dict[tuple[str, str], DeliveryReport] = field(default_factory=dict)

    def at(self, time: str, what: str, told: int, *happens: npb.Notification) -> None:
        """Moves on to a time of the night, and lets something happen, of which so many deliveries tell."""
        hour, minute = map(int, time.split(":"))
        day = EVENING.replace(day=1 if hour >= EVENING.hour else 2, hour=hour, minute=minute)
        self.world.clock.move_to(day)  # type: ignore[attr-defined]
        for one in happens:
            self._date(one)
        if happens:
            self.world.tell(*happens)
        final = self.world.rules.reports.wait(lambda reports: len(_final(reports)) >= len(self.known) + told)
        news = {key: one for key, one in _final(final).items() if key not in self.known}
        assert len(news) == told, (time, sorted(news))
        self.known |= news
        self.text += ["", f"======== {time} UTC: {what}"]
        for (_, channel), report in sorted(news.items(), key=lambda item: item[0][1]):
            if report.delivery.state in (alert_pb2.DELIVERY_STATE_SUPPRESSED, alert_pb2.DELIVERY_STATE_SUPERSEDED):
                self.text += ["", f"-------- {channel} isn't told: {report.delivery.detail}"]
        for name, inbox in self.inboxes.items():
            for lines in inbox.news():
                self.text += ["", f"-------- {name}", *lines]
        if not told:
            self.text += ["", "Nobody is told."]

    def _date(self, one: npb.Notification) -> None:
        self.sequence += 1
        one.sequence = self.sequence
        now = self.world.clock.now()
        one.event_time.FromNanoseconds(now)
        one.create_time.FromNanoseconds(now)


def _final(reports: list[DeliveryReport]) -> dict[tuple[str, str], DeliveryReport]:
    newest = {(one.delivery.notification_id, one.delivery.channel): one for one in reports}
    name = alert_pb2.DeliveryState.Name
    return {
        key: one for key, one in newest.items() if name(one.delivery.state).removeprefix("DELIVERY_STATE_") in FINAL
    }


def alert(
    identifier: str, name: str, fired: str, kind: alert_pb2.AlertEventKind.ValueType = FIRING, **more: Any
) -> npb.Notification:
    """What is told of an alert that fired at a time of the night."""
    hour, minute = map(int, fired.split(":"))
    time = int(EVENING.replace(day=2, hour=hour, minute=minute).timestamp()) * SECOND
    made = notification(
        identifier, kind, alert=name, channels=("ops-mail", "console"), severity=more.get("severity", HIGH), now=time,
        title=more.get("title", "Checkout is slow"), stream=more.get("stream", "rule_1/eu"),
    )  # fmt: skip
    made.alert.ClearField("resolve_time")
    if "over" in more:
        hour, minute = map(int, more["over"].split(":"))
        made.alert.resolve_time.FromDatetime(EVENING.replace(day=2, hour=hour, minute=minute))
    made.detail = more.get("note", "")
    return made


@pytest.fixture
def night(loop_thread: LoopThread, tmp_path: Path) -> Iterator[Night]:
    """A tenant with a channel of each kind, mute timings for the backups and business hours, and an escalation."""
    mailbox = Mailbox()
    with ExitStack() as stack:
        port = stack.enter_context(loop_thread.opened(listening(mailbox)))
        doubles: dict[str, Provider] = {
            "duty": pager_duty.PagerDuty(), "team-slack": slack.Slack(), "team-discord": discord.Discord(),
            "team-teams": teams.Teams(),
        }  # fmt: skip
        ends = {
            name: stack.enter_context(loop_thread.opened(Receiver(double).listening()))
            for name, double in doubles.items()
        }
        ends["hook"] = stack.enter_context(loop_thread.opened(Receiver().listening()))
        smtp = SmtpSettings("127.0.0.1", port, "none", "monitors", Secret("canary"), "Monitors <alerts@example.org>")
        world = stack.enter_context(running(loop_thread, tmp_path, clock=NightClock(), smtp=smtp))
        _make_channels(world, {name: end.url for name, end in ends.items()})
        verify(world.stub, "ops-mail", *(text_of(mail) for _, mail in mailbox.mails.items))
        _make_policy(world)

        def of(name: str) -> Callable[[], list[Any]]:
            return lambda: ends[name].received.items

        yield Night(
            world,
            {
                "console (console)": Inbox(lambda: world.lines.items, lambda line: [line]),
                "ops-mail (e-mail)": Inbox(lambda: mailbox.mails.items, mail_lines, seen=len(mailbox.mails.items)),
                "duty (PagerDuty)": Inbox(of("duty"), event_lines),
                "team-slack (Slack)": Inbox(of("team-slack"), chat_lines),
                "team-discord (Discord)": Inbox(of("team-discord"), discord_lines),
                "team-teams (Teams)": Inbox(of("team-teams"), card_lines),
                "hook (webhook)": Inbox(of("hook"), hook_lines),
            },
        )
        assert [refusal for double in doubles.values() for refusal in double.refusals] == []


def _make_channels(world: World, urls: dict[str, str]) -> None:
    create(world, name="console", is_default=True, console=npb.ConsoleChannel())
    create(world, name="ops-mail", is_default=True, email=npb.EmailChannel(addresses=["ops@example.org"]))
    events_url = f"{urls['duty']}{pager_duty.PATH}"
    create(world, name="duty", pager_duty=npb.PagerDutyChannel(routing_key=pager_duty.KEY, events_url=events_url))
    create(world, name="team-slack", slack=npb.SlackChannel(webhook_url=f"{urls['team-slack']}{slack.PATH}"))
    create(world, name="team-discord", discord=npb.DiscordChannel(webhook_url=f"{urls['team-discord']}{discord.PATH}"))
    query = "?api-version=1&sp=%2Ftriggers&sv=1.0&sig=secret"
    create(world, name="team-teams", teams=npb.TeamsChannel(workflow_url=f"{urls['team-teams']}{teams.PATH}{query}"))
    create(world, name="hook", webhook=npb.WebhookChannel(url=f"{urls['hook']}/hook"))


def _make_policy(world: World) -> None:
    backups = npb.TimeWindow(times=["02:30-03:10"], time_zone="Europe/Berlin")
    office = npb.TimeWindow(times=["08:00-18:00"], weekdays=["monday:friday"], time_zone="Europe/Berlin")
    low = npb.Matcher(name="severity", operator=npb.MATCH_OPERATOR_EQUAL, value="low")
    not_low = npb.Matcher(name="severity", operator=npb.MATCH_OPERATOR_NOT_EQUAL, value="low")
    for timing in (
        npb.MuteTiming(name="backups", windows=[backups]),
        npb.MuteTiming(name="business hours", windows=[office], matchers=[low], active=True),
    ):
        world.stub.CreateMuteTiming(pb.CreateMuteTimingRequest(mute_timing=timing))
    steps = [
        npb.EscalationStep(after=Duration(seconds=15 * 60), channels=["duty", "team-slack"]),
        npb.EscalationStep(after=Duration(seconds=30 * 60), channels=["team-discord", "team-teams", "hook"]),
    ]
    policy = npb.EscalationPolicy(name="on call", matchers=[not_low], steps=steps)
    world.stub.CreateEscalationPolicy(pb.CreateEscalationPolicyRequest(escalation_policy=policy))


def test_a_whole_night_is_told_as_the_golden_file_says(night: Night) -> None:
    first, second, disk = "alert_first0000000", "alert_second000000", "alert_disk00000000"
    night.at("02:00", "the checkout gets slow, while nobody is told because of the backups", 2,
             alert("note_1", first, "02:00"))  # fmt: skip
    night.at("02:09", "the backups go on", 0)
    night.at("02:10", "the backups are over, and it still fires", 2)
    night.at("02:15", "nobody has acknowledged it for 15 minutes", 2)
    night.at("02:30", "nor for 30", 3)
    night.at("02:41", "ann acknowledges it", 6,
             alert("note_2", first, "02:00", ACKNOWLEDGED, note="I restart the pool"))  # fmt: skip
    night.at("03:05", "it recovers", 7, alert("note_3", first, "02:00", RESOLVED, over="03:05"))
    night.at("03:30", "it gets slow again: a second episode", 2, alert("note_4", second, "03:30"))
    night.at("03:44", "nothing more yet", 0)
    night.at("03:45", "nobody has acknowledged this one for 15 minutes", 2)
    night.at("03:52", "it recovers by itself", 4, alert("note_5", second, "03:30", RESOLVED, over="03:52"))
    night.at("04:10", "nothing escalates any more", 0)
    disk_fills: Any = {"severity": LOW, "title": "Disk is filling up", "stream": "rule_2/sda"}
    night.at("05:00", "something that can wait for business hours", 2, alert("note_6", disk, "05:00", **disk_fills))
    night.at("06:59", "a minute before eight o'clock in Berlin", 0)
    night.at("07:00", "business hours begin, and it still fires", 2)
    story = IDS.sub(r"\1_…", "\n".join([*_preface(), *night.text, ""]))
    if os.environ.get("MONITORS_TESTS_WRITE"):
        GOLDEN.write_text(story)
    assert story == GOLDEN.read_text()


def _preface() -> list[str]:
    return [
        "A night in December: what is told at which time, and to whom. Rules tell `ops-mail` and `console`.",
        "",
        "Nobody is told of anything from 02:30 to 03:10 in Berlin (01:30 to 02:10 UTC), while the backups run, and of",
        "what is low only from 08:00 to 18:00 there. The policy `on call` escalates what isn't low: after 15 minutes",
        "to `duty` and `team-slack`, after 30 to `team-discord`, `team-teams` and `hook`.",
    ]
