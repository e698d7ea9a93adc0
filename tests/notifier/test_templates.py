"""Templates of users: what they can say, what is refused with the place and the fix, and that nothing breaks out."""

from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import grpc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitors.mesh.config import SmtpSettings
from monitors.mesh.masking import Secret
from monitors.notifier.channels.apprise.render import MAX_BODY, MAX_TITLE
from monitors.notifier.channels.apprise.render import render as render_apprise
from monitors.notifier.channels.discord import several as several_discord
from monitors.notifier.channels.discord.render import render as render_discord
from monitors.notifier.channels.email import several as several_mails
from monitors.notifier.channels.email.letters import Letter
from monitors.notifier.channels.email.render import render as render_mail
from monitors.notifier.channels.email.sendgrid import payload
from monitors.notifier.channels.pager_duty.render import render as render_events
from monitors.notifier.channels.slack import several as several_slack
from monitors.notifier.channels.slack.render import render as render_slack
from monitors.notifier.channels.teams import several as several_teams
from monitors.notifier.channels.teams.render import render as render_teams
from monitors.notifier.channels.wording import USUAL, Wording, word
from monitors.notifier.model.bundle import Bundle, Content
from monitors.notifier.model.channel import Channel
from monitors.notifier.model.message import Kind, Severity
from monitors.notifier.model.minimal import minimal
from monitors.notifier.model.targets import SlackTarget
from monitors.notifier.model.templates import FILTERS, MOST_OF_BODY, MOST_WRITTEN, VARIABLES, TemplateWrong, read, write
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from tests.harness import LoopThread
from tests.notifier.providers import discord, pager_duty, slack, teams
from tests.notifier.providers.discord import Discord
from tests.notifier.providers.pager_duty import PagerDuty
from tests.notifier.providers.slack import Slack
from tests.notifier.providers.strict import Provider, length
from tests.notifier.providers.teams import Teams
from tests.notifier.samples import ACKNOWLEDGED, DIGEST, FIRING, NOW, RESOLVED, TEST, contents
from tests.notifier.test_channels import create, refusal
from tests.notifier.test_email import Mailbox, mailbox, make_channel, smtp
from tests.notifier.world import Received, World, notification, running

__all__ = ["mailbox", "smtp"]


def worded(content: Content, title: str = "", body: str = "") -> Wording:
    target = SlackTarget(Secret("https://hooks.slack.com/services/x"))
    return word(Channel("acme", "chan_1", "ops", target, title_template=title, body_template=body), content, NOW)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{severity | upper}}: {{title}}", "CRITICAL: Checkout is slow"),
        ("{{ monitor }}{{tags}} {{tags.region}}{{tags.none}}", 'mon_checkout{region="eu"} eu'),
        ("{{value}} {{value | round 1}} {{title | round 1}}", "731.457 731.5 Checkout is slow"),
        ("{{title | truncate 5}}|{{title | truncate 0}}|{{note | default \"none\"}}", "Chec…||none"),
        ("{{#runbook}}{{runbook}}{{/runbook}}{{^note}}, no note{{/note}}", "https://example.org/run?a=1&b=2, no note"),
        ("{{since}}; {{duration}}; {{count}}", "2026-11-23 14:01:17 UTC; ; 1"),
        ("{{#alerts}}<{{alert_id}}>{{/alerts}}", "<alert_7k2m9x4cqv0d>"),
        ("{ {{event}} }", "{ FIRING }"),
        ("{{headline}}", "FIRING (critical): Checkout is slow"),
        ("{{acknowledge}}", "monitors alerts ack alert_7k2m9x4cqv0d"),
        ("{{#note}}\nnever\n{{/note}}\nalways", "always"),
    ],
)  # fmt: skip
def test_a_template_says_what_it_names(template: str, said: str) -> None:
    assert worded(FIRING, body=template).lines == (said,)


def test_what_happens_later_has_words_of_its_own() -> None:
    text = "{{event}} {{user}} {{note}} {{reason}} {{resolved}} {{duration}}"
    assert worded(ACKNOWLEDGED, body=text).lines == ("ACKNOWLEDGED ann I restart the pool",)
    assert worded(RESOLVED, body=text).lines == ("RESOLVED   condition 2026-11-23 14:15:51 UTC 12 min 34 s",)


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{{titel}}", "line 1, column 1: `titel` isn't known; did you mean `title`? Known are event, "),
        ("a\nb {{nonsense}}", "line 2, column 3: `nonsense` isn't known; Known are "),
        ("{{#note}}x", "the section `{{#note}}` isn't closed; write `{{/note}}` where it ends"),
        ("{{#note}}{{/user}}", "line 1, column 10: `{{/user}}` closes what isn't open; write `{{/note}}` first"),
        ("{{/note}}", "`{{/note}}` closes what isn't open; take it away"),
        ("x {{title", "line 1, column 3: a `{{` isn't closed; write `}}` behind the name"),
        ("{{{title}}}", "three braces are one too many"),
        ("{{&title}}", "`{{&` isn't known here"),
        ("{{> other}}", "`{{>` isn't known here"),
        ("{{title | shout}}", "`| shout` isn't a filter; there are upper, lower, truncate N"),
        ("{{title | truncate 99999}}", "isn't a filter"),
        ("{{#title | upper}}{{/title}}", "a section has no filters"),
        ("{{alerts}}", "`alerts` is a list; write `{{#alerts}}…{{/alerts}}`"),
        ("{{#alerts}}{{#alerts}}{{/alerts}}{{/alerts}}", "`alerts` stands within itself"),
        ("{{#note}}" * 6, "nested more than 5 deep"),
        ("{{tags.}}", "`tags.` isn't known"),
        ("{{title.__class__}}", "isn't known"),
        ("{{}}", "`` isn't known"),
    ],
)
def test_a_wrong_template_is_refused_with_the_place_and_the_fix(shared_world: World, template: str, words: str) -> None:
    chat = npb.SlackChannel(webhook_url="https://hooks.slack.com/services/x")
    code, details = refusal(lambda: create(shared_world, name="chat", slack=chat, body_template=template))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert details.startswith("channel.body_template: line ")
    assert words in details


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"title_template": "a\nb"}, "a title is one line"),
        ({"title_template": "x" * 501}, "has 501 characters; send at most 500"),
        ({"body_template": "x" * 4001}, "has 4,001 characters; send at most 4,000"),
        (
            {"webhook": npb.WebhookChannel(url="https://example.org"), "body_template": "x"},
            "a webhook's receiver reads",
        ),
        ({"console": npb.ConsoleChannel(), "title_template": "x"}, "the terminal shows a line of its own"),
    ],
)
def test_what_no_channel_can_say_is_refused(shared_world: World, fields: dict[str, Any], words: str) -> None:
    kind: dict[str, Any] = (
        {} if fields.keys() & {"webhook", "console"} else {"slack": npb.SlackChannel(webhook_url="https://x.org/y")}
    )
    code, details = refusal(lambda: create(shared_world, name="x", **kind, **fields))
    assert (code, words in details) == (grpc.StatusCode.INVALID_ARGUMENT, True), details


def reword(world: World, title: str, body: str) -> npb.Channel:
    channel = npb.Channel(id="mail", title_template=title, body_template=body)
    return world.stub.UpdateChannel(pb.UpdateChannelRequest(channel=channel)).channel


def test_a_message_is_said_in_the_channels_words_until_they_are_taken_away(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, mailbox: Mailbox
) -> None:
    make_channel(loop_thread, tmp_path)
    with running(loop_thread, tmp_path, smtp=smtp) as world:
        made = reword(world, "{{severity}}: {{title}}", "{{monitor}} <b>\n{{summary}}{{facts}}")
        assert made.title_template == "{{severity}}: {{title}}"
        assert made.body_template == "{{monitor}} <b>\n{{summary}}{{facts}}"
        world.tell(notification("note_1", title="a <i> b"))
        world.wait_for_states(("note_1", "DELIVERED"))
        assert "`x` isn't known" in refusal(lambda: reword(world, "", "{{#x}}"))[1]
        assert not reword(world, "", "").HasField("body_template")
        # Alerts of one rule that come soon after each other are told together.
        world.clock.advance(90)
        world.tell(notification("note_2", alert="alert_2", stream="other"))
        world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))
    (_, first), (_, second) = mailbox.mails.items
    assert (first["Subject"], second["Subject"]) == ("high: a <i> b", "FIRING (high): CPU is hot")
    html, text = (first.get_body((kind,)) for kind in ("html", "plain"))
    assert html is not None
    assert text is not None
    assert "mon_host <b>\nMonitor: mon_host" in text.get_content().replace("\r", "")
    assert "mon_host &lt;b&gt;\nMonitor" in html.get_content().replace("\r", "")


def test_a_test_shows_what_the_templates_make_of_an_alert(
    loop_thread: LoopThread, tmp_path: Path, smtp: SmtpSettings, mailbox: Mailbox
) -> None:
    make_channel(loop_thread, tmp_path)
    with running(loop_thread, tmp_path, smtp=smtp) as world:
        reword(world, "{{monitor}}", "{{condition}} {{labels.team}}")
        assert (
            world.stub.TestChannel(pb.TestChannelRequest(channel_id="mail")).attempt.outcome == npb.DELIVERY_OUTCOME_OK
        )
    ((_, mail),) = mailbox.mails.items
    text = mail.get_body(("plain",))
    assert text is not None
    assert (mail["Subject"], text.get_content().strip()) == ("TEST: mon_example", "avg(cpu_percent, 5m) > 90 ops")


def test_a_template_that_cant_be_read_any_more_is_told_by_the_delivery_and_the_usual_words_are_sent() -> None:
    for title in ("{{unheard_of}}", "{{title"):
        said = worded(FIRING, title, "{{title}}")
        assert (said.title, said.lines) == (None, None)
        assert "the usual words were sent, as the channel's template can't be used (line 1, column 1" in said.fault


def test_several_alerts_are_never_kept_quiet_about() -> None:
    said = worded(DIGEST, "{{title}}", "{{event}} {{title}}")
    assert said.title is None
    assert said.lines == ("FIRED AND RECOVERED Checkout is slow", "", "FIRING Disk is full")
    said = worded(DIGEST, "{{count}} alerts", "{{count}}:\n{{#alerts}}\n- {{title}}\n{{/alerts}}\n")
    assert (said.title, said.lines) == ("2 alerts", ("2:", "- Checkout is slow", "- Disk is full"))
    many = Bundle("set_1", tuple([replace(FIRING, alert_id=f"alert_{number}") for number in range(30)]))
    lines = worded(many, body="{{alert_id}}").lines or ()
    assert lines[-3:] == ("alert_19", "", "10 more: monitors alerts list --state firing")


def test_what_is_too_large_or_about_no_alert_is_said_in_the_usual_words() -> None:
    assert worded(minimal(FIRING), "{{title}}", "x") == USUAL
    assert worded(TEST, "{{title}}").title == "TEST: Test of the channel ops"


def test_what_comes_of_a_template_is_bounded() -> None:
    template = read("{{title}}" * (MOST_OF_BODY // 9))
    assert len(write(template, {"title": "x" * 4096}, ())) == MOST_WRITTEN
    each = read("{{#alerts}}" + "{{title}}" * 400 + "{{/alerts}}")
    assert len(write(each, {}, [{"title": "x" * 4096}] * 20)) == MOST_WRITTEN


def test_every_name_stands_for_something() -> None:
    named = {"NAME": "x"}
    links = {**named, "summary": "s", "runbook_url": "https://example.org"}
    over = replace(
        RESOLVED, former_severity=Severity.LOW, user="ann", note="n", group=named, labels=named, annotations=links
    )
    for name in VARIABLES:
        message = replace(over, kind=Kind.FIRING) if name == "acknowledge" else over
        assert worded(message, body=f"{{{{{name}}}}}").lines, name


def test_every_name_and_filter_stands_in_the_docs() -> None:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text()
    for name, what in VARIABLES.items():
        assert f"| `{name}` | {what} |" in page
    assert all(f"`{name.partition(' ')[0]}" in page for name in FILTERS)


names = st.sampled_from([name.replace("NAME", "x") for name in VARIABLES])
filters = st.lists(st.sampled_from([name.replace("N", "7").replace("TE7T", "TEXT") for name in FILTERS]), max_size=2)
values = st.builds(lambda name, used: f"{{{{{' | '.join([name, *used])}}}}}", names, filters)
literals = st.text(max_size=40).map(lambda text: text.replace("{", "").replace("}", ""))
templates = st.recursive(
    values | literals | literals.map(lambda text: text * 90),
    lambda inner: st.builds(
        lambda mark, name, parts: f"{{{{{mark}{name}}}}}\n{''.join(parts)}{{{{/{name}}}}}",
        st.sampled_from("#^"), names, st.lists(inner, max_size=4),
    ) | st.lists(inner, max_size=6).map("".join),
    max_leaves=12,
)  # fmt: skip


@given(st.text() | st.text(alphabet="{}#/^| \nabtitle", max_size=60))
def test_any_text_is_a_template_or_refused_with_its_place(text: str) -> None:
    try:
        written = write(read(text), {}, [{}])
    except TemplateWrong as error:
        written = ""
        found = str(error)
    else:
        found = "line 1"
    assert found.startswith("line ")
    assert len(written) <= MOST_WRITTEN


def answer(double: Provider, path: str, bodies: list[bytes], query: str = "") -> None:
    for body in bodies:
        double(Received(path, {"content-type": "application/json"}, body, query))
    assert double.refusals == []


@given(content=contents, title=templates, body=templates)
@settings(max_examples=30, deadline=None)
def test_no_template_makes_a_message_too_large_or_breaks_out_of_its_escaping(
    content: Content, title: str, body: str
) -> None:
    said = worded(content, title.replace("\n", " ")[:500], body)
    assert not said.fault or "line " in said.fault

    def of(one: Callable[..., bytes], many: Callable[..., bytes], **words: Any) -> list[bytes]:
        return [many(content, **words) if isinstance(content, Bundle) else one(content, NOW, **words)]

    answer(Slack(), slack.PATH, of(render_slack, several_slack.render, wording=said))
    answer(Discord(), discord.PATH, of(render_discord, several_discord.render, wording=said), "wait=true")
    double = Teams()
    answer(double, teams.PATH, of(render_teams, several_teams.render, wording=said))
    assert double.failed == []
    answer(PagerDuty(), pager_duty.PATH, render_events(content, Secret(pager_duty.KEY), NOW, said))
    shown, text = render_apprise(content, NOW, said)
    assert (0 < length(shown) <= MAX_TITLE, 0 < length(text) <= MAX_BODY) == (True, True)
    render = several_mails.render if isinstance(content, Bundle) else render_mail
    made = render(content, "a@example.org", ("b@example.org",), NOW, wording=said)  # type: ignore[arg-type]
    html = made.get_body(("html",))
    assert html is not None
    if said.lines is not None:
        inside = html.get_content().partition('pre-wrap">')[2].partition("</p>")[0]
        assert "<" not in inside
        assert unescape(inside).split() == "\n".join(said.lines).split()
    assert all(one["value"].strip() for one in payload([Letter(made, ["b@example.org"])], "id")["content"])
