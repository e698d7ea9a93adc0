"""The page on which a person adds a channel by a link."""

import base64
import hashlib
import logging
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest

from monitors.cli import grouping
from monitors.mesh.channel_links import LIFETIME, ChannelLink, link_url, sign
from monitors.mesh.config import PageSettings, SmtpSettings
from monitors.mesh.masking import Secret
from monitors.mesh.times import SECOND, to_timestamp
from monitors.notifier.kinds import KINDS
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.key_pb2 import Key
from monitors.v1.notification_pb2 import Channel
from tests.browser import FORM, Page, fetch
from tests.harness import LoopThread
from tests.notifier.world import Receiver, World, running

SLACK = "https://hooks.slack.com/services/T0/B0/canary"
SECRET = "whsec_" + base64.b64encode(b"0123456789abcdef0123456789abcdef").decode()
SMTP = SmtpSettings("127.0.0.1", 1, "none", "", Secret(""))


@pytest.fixture
def mailing(loop_thread: LoopThread, tmp_path: Path) -> Iterator[World]:
    with running(loop_thread, tmp_path, smtp=SMTP) as opened:
        yield opened


def link(world: World, tenant: str = "acme", name: str = "ops", user: str = "ann") -> str:
    """A link as RuleService makes it, with what the notifier has told it."""
    page = world.rules.pages.wait_for_count(1)[-1]
    expire_time = (world.clock.now() + LIFETIME) // SECOND * SECOND
    return link_url(page.url, sign(ChannelLink(tenant, user, name, expire_time), page.key))


def channels(world: World) -> list[Channel]:
    return list(world.stub.ListChannels(pb.ListChannelsRequest()).channels)


def test_the_form_makes_a_channel_of_each_kind(mailing: World) -> None:
    entries: dict[str, dict[str, str]] = {
        "slack": {"slack.webhook_url": SLACK},
        "email": {"email.addresses": "ann@example.org\r\nbob@example.org, cy@example.org"},
        "webhook": {"webhook.url": "https://example.org/hook", "webhook.secret": SECRET},
        "console": {},
        "discord": {"discord.webhook_url": "https://discord.com/api/webhooks/1/canary"},
        "teams": {"teams.workflow_url": "https://a.b.logic.azure.com/workflows/canary"},
        "apprise": {"apprise.url": "ntfys://canary"},
        "pager_duty": {"pager_duty.routing_key": "0123456789abcdef0123456789ABCDEF"},
    }
    assert set(entries) == set(KINDS)
    for kind, values in entries.items():
        done = fetch(link(mailing, name=f"new-{kind}")).submit({"kind": kind, **values})
        assert done.status == 201
        assert f"new-{kind} is there" in done.text
    made = {channel.name: channel for channel in channels(mailing)}
    assert {name: channel.WhichOneof("kind") for name, channel in made.items()} == {f"new-{k}": k for k in entries}
    assert list(made["new-email"].email.addresses) == ["ann@example.org", "bob@example.org", "cy@example.org"]
    assert all(channel.send_resolved and not channel.is_default for channel in made.values())
    assert mailing.rules.mirrored.items[-1] == ("acme", sorted(made))


def test_every_kind_that_can_be_made_has_its_inputs_on_the_page(mailing: World) -> None:
    page = fetch(link(mailing))
    names = {attributes.get("name") for tag, attributes in page.elements if tag in ("input", "textarea")}
    for kind, known in KINDS.items():
        message = npb.Channel.DESCRIPTOR.fields_by_name[kind].message_type
        assert {f"{kind}.{entry.field}" for entry in known.inputs} <= names
        assert message is not None
        assert {entry.field for entry in known.inputs} <= set(message.fields_by_name)
        refused = page.submit({"kind": kind})
        assert (refused.status == 422) == bool(known.inputs), kind


@pytest.mark.parametrize(
    ("entered", "words"),
    [
        ({}, "rule, 10s then 1m, digest above 20"),
        ({"grouping.by": "monitor"}, "monitor, 10s then 1m, digest above 20"),
        ({"grouping.by": "alone", "grouping.digest_above": "0"}, "alone"),
        (
            {"grouping.by": "labels", "grouping.labels": " team,  env ,"},
            "labels team, env, 10s then 1m, digest above 20",
        ),
        ({"grouping.labels": "team"}, "labels team, 10s then 1m, digest above 20"),
        ({"grouping.wait": "0s", "grouping.interval": "1h30m"}, "rule, 0s then 1h30m, digest above 20"),
        ({"grouping.hold_urgent": "yes"}, "rule, 10s then 1m, holds urgent, digest above 20"),
    ],
)
def test_what_is_told_together_is_chosen_on_the_page(world: World, entered: dict[str, str], words: str) -> None:
    done = fetch(link(world)).submit({"kind": "slack", "slack.webhook_url": SLACK, **entered})
    assert done.status == 201
    assert grouping.words(channels(world)[0].grouping) == words


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("by", "colour", "'colour' isn't one of the choices"),
        ("labels", ", ".join("abcdefghijk"), "11 names; send 1 to 10"),
        ("wait", "soon", "'soon' can't be read; enter a duration such as 10s"),
        ("wait", "11m", "660 seconds; send 0 to 10 minutes"),
        ("interval", "0s", "0 seconds; send 1 second to 24 hours"),
        ("interval", "999999999d" * 9, "send 1 second to 24 hours"),
        ("digest_above", "-1", "'-1' can't be read; enter a whole number"),
        ("digest_above", "0" * 5_000 + "1", "can't be read; enter a whole number"),
        ("digest_above", "100001", "send at most 100,000"),
    ],
)
def test_what_is_wrong_with_grouping_stands_beside_its_input(
    shared_world: World, name: str, text: str, words: str
) -> None:
    entered = {"kind": "slack", "slack.webhook_url": SLACK, f"grouping.{name}": text}
    refused = fetch(link(shared_world)).submit(entered)
    assert refused.status == 422
    assert words in refused.problem(f"grouping.{name}")
    assert any(tag == "details" and "open" in attributes for tag, attributes in refused.elements)
    assert channels(shared_world) == []


def test_grouping_is_folded_up_and_what_was_entered_stays(world: World) -> None:
    page = fetch(link(world))
    assert [attributes for tag, attributes in page.elements if tag == "details"] == [{}, {}]
    entered = {"kind": "slack", "grouping.by": "labels", "grouping.labels": '<b>"&', "grouping.hold_urgent": "yes"}
    filled = page.submit(entered).filled()
    assert {name: filled[name] for name in entered} == entered


def test_what_messages_say_is_written_on_the_page_and_what_is_wrong_stands_beside_it(world: World) -> None:
    page = fetch(link(world))
    entered = {"kind": "slack", "slack.webhook_url": SLACK, "title_template": "{{titel}} <b>", "body_template": "x"}
    refused = page.submit(entered)
    assert "did you mean title?" in refused.problem("title_template").replace("`", "")
    assert (refused.filled()["title_template"], refused.filled()["body_template"]) == ("{{titel}} <b>", "x")
    done = refused.submit({**entered, "title_template": "{{title}}", "body_template": "{{facts}}\r\n{{value}}"})
    assert done.status == 201
    (made,) = channels(world)
    assert (made.title_template, made.body_template) == ("{{title}}", "{{facts}}\n{{value}}")


def test_a_made_secret_is_shown_once_and_works(world: World, receiver: Receiver) -> None:
    page = fetch(link(world))
    done = page.submit({"kind": "webhook", "webhook.url": receiver.url, "is_default": "yes", "send_resolved": "yes"})
    shown = re.findall(r"whsec_[A-Za-z0-9+/=]+", done.text)
    assert len(shown) == 1
    assert "plain http" in done.text
    assert channels(world)[0].is_default
    assert world.stub.TestChannel(pb.TestChannelRequest(channel_id="ops")).attempt.status == 200
    again = page.submit({"kind": "webhook", "webhook.url": receiver.url, "is_default": "yes", "send_resolved": "yes"})
    assert again.status == 410
    assert shown[0] not in again.html


def test_a_link_makes_one_channel_and_only_success_uses_it_up(world: World) -> None:
    address = link(world)
    page = fetch(address)
    refused = page.submit({"kind": "webhook", "webhook.url": "nonsense"})
    assert refused.status == 422
    assert fetch(address).status == 200
    assert refused.submit({"webhook.url": "https://example.org/"}).status == 201
    for later in (fetch(address), page.submit({"kind": "console", "name": "other"}), page.submit({"kind": "console"})):
        assert (later.status, "has been used" in later.text) == (410, True)
    assert [channel.name for channel in channels(world)] == ["ops"]


def test_two_at_once_make_one(world: World) -> None:
    page = fetch(link(world))
    with ThreadPoolExecutor(8) as pool:
        pages = list(pool.map(lambda number: page.submit({"kind": "console", "name": f"ops{number}"}), range(8)))
    assert sorted(one.status for one in pages) == [201, *[410] * 7]
    assert len(channels(world)) == 1


def test_a_link_ends_after_ten_minutes(world: World) -> None:
    address = link(world)
    page = fetch(address)
    world.clock.advance(9 * 60 + 50)
    assert fetch(address).status == 200
    world.clock.advance(11)
    for late in (fetch(address), page.submit({"kind": "console"})):
        assert (late.status, "is over" in late.text, "monitors channels link" in late.text) == (410, True, True)
    assert channels(world) == []


def test_a_link_ends_with_the_key_with_which_it_was_asked_for(world: World) -> None:
    now = world.clock.now()
    good, revoked = Key(id="key_good"), Key(id="key_revoked", revoke_time=to_timestamp(now))
    expiring, expired = (
        Key(id=f"key_{name}", expire_time=to_timestamp(time))
        for name, time in (("expiring", now + SECOND), ("expired", now))
    )
    world.rules.keys = [revoked, expired, expiring, good]
    for user, status in (("good", 201), ("expiring", 201), ("revoked", 410), ("expired", 410), ("unknown", 410)):
        done = fetch(link(world, name=user, user=f"key_{user}")).submit({"kind": "console"})
        assert (done.status, "The API key with which it was asked for has ended" in done.text) == (
            status,
            status == 410,
        )
    assert {channel.name for channel in channels(world)} == {"good", "expiring"}


def test_while_it_cannot_be_asked_whether_the_key_has_ended_no_link_is_used_up(world: World) -> None:
    world.rules.keys = [Key(id="key_good")]
    page = fetch(link(world, user="key_good"))
    world.rules.away = True
    assert page.submit({"kind": "console"}).status == 503
    world.rules.away = False
    assert page.submit({"kind": "console"}).status == 201


def test_what_isnt_a_link_is_no_page(world: World) -> None:
    address = link(world)
    base, _, token = address.partition("?link=")
    payload, _, signature = token.partition(".")
    foreign = sign(ChannelLink("globex", "eve", "ops", world.clock.now() + LIFETIME), b"another key" * 3)
    other = base64.urlsafe_b64encode(base64.urlsafe_b64decode(payload + "==").replace(b"acme", b"eves")).decode()
    for wrong in ("", "x", token[:-1], f"{token}A", f".{signature}", payload, foreign, f"{other}.{signature}"):
        assert fetch(f"{base}?{urlencode({'link': wrong})}").status == 404, wrong
        assert fetch(address).submit({"kind": "console", "link": wrong}).status == 404, wrong
    assert fetch(f"{base}?{urlencode({'link': chr(0x10FFFF) + chr(0) + token})}").status == 404
    assert fetch(base).status == 404
    assert fetch(urlsplit(base)._replace(path="/").geturl()).status == 404
    assert fetch(base, method="PUT").status == 405
    assert channels(world) == []


def test_a_channel_belongs_to_the_account_of_the_link(world: World) -> None:
    page = fetch(link(world, tenant="globex", name="theirs"))
    assert "For the account globex, asked for by ann" in " ".join(page.text.split())
    assert page.submit({"kind": "console"}).status == 201
    assert channels(world) == []
    # A taken name is taken in one's own account only.
    assert fetch(link(world, name="theirs")).submit({"kind": "console"}).status == 201
    assert fetch(link(world, name="theirs")).submit({"kind": "console"}).status == 409


def test_each_problem_stands_beside_its_input_and_nothing_else_is_lost(mailing: World) -> None:
    fetch(link(mailing, name="taken")).submit({"kind": "console"})
    page = fetch(link(mailing))
    wrong = page.submit(
        {
            "kind": "email",
            "name": "a b",
            "email.addresses": "ann@example.org\nnonsense",
            "is_default": "yes",
            "webhook.url": SLACK,
        }
    )
    assert wrong.status == 422
    assert "isn't a channel name" in wrong.problem("name")
    assert "'nonsense' isn't an e-mail address" in wrong.problem("email.addresses")
    filled = wrong.filled()
    assert (filled["name"], filled["kind"], filled["is_default"]) == ("a b", "email", "yes")
    assert filled["email.addresses"].split() == ["ann@example.org", "nonsense"]
    assert ("input", "true") in [(tag, attributes.get("aria-invalid")) for tag, attributes in wrong.elements]
    taken = wrong.submit({"name": "taken", "email.addresses": "ann@example.org"})
    assert (taken.status, "already" in taken.problem("name")) == (409, True)
    nothing = page.submit({"kind": "fax"})
    assert (nothing.status, "no kind is set" in nothing.problem("kind")) == (422, True)
    assert taken.submit({"name": "mail"}).status == 201


def test_a_secret_is_never_given_back(world: World) -> None:
    page = fetch(link(world))
    for values in (
        {"kind": "slack", "name": "a b", "slack.webhook_url": SLACK},
        {"kind": "slack", "slack.webhook_url": SLACK.replace("https", "ftp")},
        {"kind": "webhook", "webhook.url": "https://a:canary@example.org", "webhook.secret": "canary"},
        {"kind": "webhook", "name": "", "webhook.url": "https://example.org/canary?token=canary"},
    ):
        refused = page.submit(values)
        assert refused.status == 422
        assert "canary" not in refused.html
    named = page.submit({"kind": "slack", "name": "a b", "slack.webhook_url": SLACK})
    assert "Enter it again" in named.problem("slack.webhook_url")
    done = named.submit({"name": "chat", "slack.webhook_url": SLACK})
    assert (done.status, "canary" in done.html) == (201, False)


def test_neither_secret_nor_token_reaches_the_log(
    world: World, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    address = link(world)
    token = address.partition("=")[2]
    page = fetch(address)
    page.submit({"kind": "webhook", "webhook.url": "https://example.org/canary", "webhook.secret": "canary"})
    # What isn't HTTP, as a broken proxy may make it of the link.
    parts = urlsplit(address)
    for line in (f"GET {parts.path}?link={token} HTTP/9.x\r\n\r\n", f"GET /{token}{'x' * 9_000} HTTP/1.1\r\n\r\n"):
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as raw:
            raw.settimeout(20)
            raw.sendall(line.encode())
            assert raw.recv(100).startswith(b"HTTP/1.")
    # A fault of ours is told by an id.
    monkeypatch.setattr("monitors.notifier.making.warn", lambda channel: 1 // 0)
    failed = page.submit({"kind": "slack", "slack.webhook_url": SLACK})
    monkeypatch.undo()
    (error_id,) = re.findall(r"error ([0-9a-f]{8})", failed.text)
    assert (failed.status, error_id in caplog.text) == (500, True)
    assert page.submit({"kind": "slack", "slack.webhook_url": SLACK}).status == 201
    assert "was added by a link of 'ann'" in caplog.text
    logged = "\n".join(str(vars(record)) for record in caplog.records) + caplog.text
    assert "canary" not in logged
    assert token not in logged
    assert token.partition(".")[2] not in logged


@pytest.mark.parametrize("hostile", ['"><script>alert(1)</script>', "'><img src=x onerror=alert(1)>", "`<b>`", "&lt;"])
def test_nothing_that_is_entered_becomes_markup(mailing: World, hostile: str) -> None:
    address = link(mailing, tenant=hostile, name=hostile)
    clean = fetch(link(mailing))
    tags = {tag for tag, _ in clean.elements}
    first = fetch(address)
    refused = first.submit(
        {"kind": "email", "email.addresses": f"{hostile}\n</textarea>{hostile}", "webhook.url": hostile}
    )
    assert refused.filled()["name"] == hostile
    assert refused.filled()["email.addresses"] == f"{hostile}\n</textarea>{hostile}"
    other = first.submit({"kind": hostile, "link": hostile})
    for page in (first, refused, other, first.submit({"kind": hostile})):
        assert {tag for tag, _ in page.elements} <= {*tags, "code"}
        assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)


def test_the_page_is_closed_to_other_sites_and_keeps_nothing(world: World) -> None:
    page = fetch(link(world))
    for answer in (page, page.submit({"kind": "webhook"}), fetch(page.url.partition("?")[0])):
        policy = answer.headers["content-security-policy"]
        style = re.findall(r"<style>(.*?)</style>", answer.html, re.DOTALL)[0]
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        assert policy == (
            f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'; "
            "frame-ancestors 'none'"
        )
        names = ("cache-control", "referrer-policy", "x-content-type-options", "x-frame-options", "server")
        assert [answer.headers[name] for name in names] == ["no-store", "no-referrer", "nosniff", "DENY", "monitors"]
        assert not re.search(
            r"<script|style=|https?://(?!hooks\.slack|discord\.com|events\.(eu\.)?pagerduty|example)", answer.html
        )
    for headers in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example"},
    ):
        assert page.submit({"kind": "console"}, headers).status == 403, headers
    assert channels(world) == []
    own = "{0.scheme}://{0.netloc}".format(urlsplit(page.url))
    assert page.submit({"kind": "console"}, {"Origin": own}).status == 201


def test_only_a_small_form_is_read(world: World) -> None:
    page = fetch(link(world))
    url = page.url.partition("?")[0]
    form = {"Content-Type": FORM}
    assert fetch(url, b"x=" + b"y" * 70_000, form).status == 413
    assert fetch(url, b"&".join(b"a%d=1" % number for number in range(100)), form).status == 400
    assert fetch(url, b"link=\xff\xfe", form).status == 400
    assert fetch(url, b"{}", {"Content-Type": "application/json"}).status == 415
    assert page.submit({"kind": "console"}).status == 201


def test_a_slow_client_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitors.notifier.channel_page.server.BODY_SECONDS", 0.05)
    url = urlsplit(link(world))
    with socket.create_connection((url.hostname or "", url.port or 0)) as raw:
        raw.settimeout(20)
        raw.sendall(
            f"POST {url.path} HTTP/1.1\r\nHost: a\r\nContent-Type: {FORM}\r\nContent-Length: 9\r\n\r\n".encode()
        )
        assert b" 408 " in raw.recv(100)


def test_headers_that_never_end_are_left(
    loop_thread: LoopThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("monitors.notifier.channel_page.server.IDLE_SECONDS", 0.05)
    with running(loop_thread, tmp_path) as world:
        url = urlsplit(link(world))
        with socket.create_connection((url.hostname or "", url.port or 0)) as raw:
            raw.settimeout(20)
            raw.sendall(f"GET {url.path} HTTP/1.1\r\nHost:".encode())
            assert raw.recv(100) == b""


def test_the_same_checks_hold_as_for_every_channel(loop_thread: LoopThread, tmp_path: Path) -> None:
    with running(loop_thread, tmp_path, allow_local=False) as world:
        page = fetch(link(world))
        for url in ("http://example.org", "https://localhost/", "https://127.0.0.1/", "https://[::ffff:10.0.0.1]/"):
            refused = page.submit({"kind": "webhook", "webhook.url": url})
            assert (refused.status, bool(refused.problem("webhook.url"))) == (422, True), url
        # Without a mail server the page offers none, and whoever sends it nevertheless is told why.
        assert "email.addresses" not in page.filled()
        assert "SMTP_HOST" in page.text
        refused = page.submit({"kind": "email", "email.addresses": "ann@example.org"})
        assert (refused.status, "the notifier has no mail server" in refused.text) == (422, True)


def test_a_rules_service_that_is_away_uses_no_link_up(world: World) -> None:
    page = fetch(link(world))
    world.rules.away = True
    refused = page.submit({"kind": "console"})
    assert (refused.status, "rules service can't be reached" in refused.text) == (503, True)
    world.rules.away = False
    assert refused.submit({"kind": "console"}).status == 201


def test_the_page_is_told_by_its_public_url(loop_thread: LoopThread, tmp_path: Path) -> None:
    settings = PageSettings("127.0.0.1", 0, "https://alerts.example.org/monitors")
    with running(loop_thread, tmp_path, page=settings) as world:
        assert link(world).startswith("https://alerts.example.org/monitors/channels/new?link=")


def test_links_outlive_a_restart(loop_thread: LoopThread, tmp_path: Path) -> None:
    with running(loop_thread, tmp_path) as world:
        token = link(world).partition("?")[2]
    with running(loop_thread, tmp_path) as world:
        page: Page = fetch(f"{world.rules.pages.wait_for_count(1)[0].url}?{token}")
        assert page.submit({"kind": "console"}).status == 201
