"""Other services by Apprise: what it reaches, and what its process can't do."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import apprise
import grpc
import pytest
from hypothesis import given, settings

from monitors.mesh.masking import Secret
from monitors.notifier.channels.apprise.render import MAX_BODY, MAX_TITLE, render
from monitors.notifier.channels.apprise.send import Apprise, judge
from monitors.notifier.model.bundle import Content
from monitors.notifier.model.delivery import Outcome, OutcomeKind
from monitors.notifier.model.services import NATIVE, SERVICES
from monitors.notifier.model.targets import AppriseTarget
from monitors.v1 import notification_pb2 as npb
from monitors.v1 import notifier_service_pb2 as pb
from monitors.v1.notification_pb2 import AppriseChannel
from tests.harness import LoopThread
from tests.notifier.samples import FIRING, NOW, TOLD, contents
from tests.notifier.test_channels import create, refusal
from tests.notifier.world import RESOLVED, Receiver, Reply, World, notification

TOKEN = "canarycanary"


def gotify(receiver: Receiver) -> str:
    return f"gotify://{receiver.url.removeprefix('http://')}/{TOKEN}"


def send(loop: LoopThread, url: str, *, allow_local: bool = True, deadline: float = 10.0) -> Outcome:
    runner = Apprise(allow_local=allow_local, deadline=deadline)
    return loop.run(runner.send(AppriseTarget(Secret(url)), FIRING, NOW))


def test_an_alert_reaches_a_local_server(world: World, receiver: Receiver) -> None:
    made = create(world, name="phone", is_default=True, apprise=AppriseChannel(url=gotify(receiver))).channel
    assert (made.apprise.url, made.apprise.service, len(made.apprise.fingerprint)) == ("", "Gotify", 8)
    world.tell(notification("note_1"))
    world.wait_for_states(("note_1", "DELIVERED"))
    (request,) = receiver.received.items
    told = json.loads(request.body)
    assert told["title"] == "FIRING (high): CPU is hot"
    assert "monitors alerts ack alert_1" in told["message"]
    world.tell(notification("note_2", RESOLVED, sequence=2))
    world.wait_for_states(("note_1", "DELIVERED"), ("note_2", "DELIVERED"))


def test_a_test_says_how_it_went(world: World, receiver: Receiver) -> None:
    create(world, name="phone", apprise=AppriseChannel(url=gotify(receiver)))
    attempt = world.stub.TestChannel(pb.TestChannelRequest(channel_id="phone")).attempt
    assert (attempt.outcome, attempt.detail) == (npb.DELIVERY_OUTCOME_OK, "Gotify has taken it")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_address_that_is_not_allowed_is_not_reached(loop_thread: LoopThread, receiver: Receiver, host: str) -> None:
    outcome = send(loop_thread, gotify(receiver).replace("127.0.0.1", host), allow_local=False)
    assert (outcome.kind, receiver.received.items) == (OutcomeKind.RETRYABLE, [])
    assert "isn't allowed" in outcome.detail


def test_a_redirection_is_not_followed(loop_thread: LoopThread, receiver: Receiver) -> None:
    receiver.script = [Reply(307, {"location": f"{receiver.url}/elsewhere"})]
    assert send(loop_thread, gotify(receiver)).kind is not OutcomeKind.OK
    assert [request.path for request in receiver.received.items] == ["/message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(401, OutcomeKind.CONFIGURATION_BROKEN), (429, OutcomeKind.THROTTLED), (500, OutcomeKind.RETRYABLE)],
)
def test_the_status_of_an_answer_is_read_from_what_apprise_says(
    loop_thread: LoopThread, receiver: Receiver, status: int, kind: OutcomeKind
) -> None:
    receiver.script = [Reply(status, body=TOKEN.encode())]
    outcome = send(loop_thread, gotify(receiver))
    assert (outcome.kind, outcome.status) == (kind, status)
    assert TOKEN not in outcome.detail


def test_what_does_not_answer_in_time_may_have_arrived(loop_thread: LoopThread, receiver: Receiver) -> None:
    receiver.script = [Reply(hold=True)]
    outcome = send(loop_thread, gotify(receiver), deadline=4.0)
    assert outcome.kind is OutcomeKind.AMBIGUOUS


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ({"status": "sent", "code": 0, "refused": False}, OutcomeKind.OK),
        ({"status": "unreadable"}, OutcomeKind.CONFIGURATION_BROKEN),
        ({"status": "failed", "code": 400, "refused": False}, OutcomeKind.FINAL),
        ({"status": "failed", "code": 413, "refused": False}, OutcomeKind.TOO_LARGE),
        ({"status": "failed", "code": 404, "refused": False}, OutcomeKind.CONFIGURATION_BROKEN),
        ({"status": "failed", "code": 0, "refused": False}, OutcomeKind.AMBIGUOUS),
        ({"status": "failed", "code": 0, "refused": True}, OutcomeKind.RETRYABLE),
        ({"status": "unknown", "code": 0, "refused": False}, OutcomeKind.AMBIGUOUS),
        ({}, OutcomeKind.AMBIGUOUS),
        (None, OutcomeKind.AMBIGUOUS),
    ],
)
def test_what_the_process_answers_means(answer: dict[str, Any] | None, kind: OutcomeKind) -> None:
    assert judge(answer, "Gotify").kind is kind


ATTACKS = {
    "connects to this machine": "socket.create_connection(('127.0.0.1', 9))",
    "connects to the private network": "socket.create_connection(('10.0.0.1', 9))",
    "connects to the cloud's own address": "socket.create_connection(('169.254.169.254', 80))",
    "connects to this machine in another spelling": "socket.create_connection(('::ffff:127.0.0.1', 9))",
    "connects to a name that isn't looked up": "socket.socket().connect(('localhost', 9))",
    "connects to a socket in a folder": "socket.socket(socket.AF_UNIX).connect('/run/x')",
    "sends a datagram": "socket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 514))",
    "sends a message": "socket.socket(type=socket.SOCK_DGRAM).sendmsg([b'x'], [], 0, ('127.0.0.1', 514))",
    "listens": "socket.socket().bind(('0.0.0.0', 0))",
    "starts a process": "subprocess.run(['/bin/true'])",
    "starts a shell": "os.system('true')",
    "becomes another program": "os.execv('/bin/true', ['true'])",
    "forks": "os.fork()",
    "writes to the log of the system": "syslog.syslog('x')",
    "calls into a library": "ctypes.CDLL(None)",
    "reads a file": "open('/etc/passwd')",
    "reads a file beside the program": "open(sys.prefix + '-other')",
    "reads a file by another way": "os.open('/etc/passwd', os.O_RDONLY)",
    "writes a file": "open('/tmp/x', 'w')",
    "writes a file of the program": "open(os.__file__, 'a')",
    "removes a file": "os.remove('/tmp/x')",
}
LOCKED = """
import ctypes, os, socket, subprocess, sys, syslog
from monitors.notifier.channels.apprise.lock import Lock, limit_resources
limit_resources()
Lock(allow_local=False)
try:
    {attack}
except PermissionError as error:
    print("refused", error)
"""


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_locked_process_cannot_do_what_could_harm(attack: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-I", "-c", LOCKED.format(attack=ATTACKS[attack])], capture_output=True, text=True, timeout=60
    )
    assert ran.stdout.startswith("refused"), ran.stderr
    assert "allowed" in ran.stdout or "readable" in ran.stdout


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", ["apprise.url", "tgram://"]),
        ("https://example.org/canary", ["`https://`", "docs/channels.md"]),
        ("syslog://canary", ["`syslog://`"]),
        ("kodi://canary", ["`kodi://`"]),
        ("slack://canary", ["kind slack"]),
        ("jsons://canary", ["kind webhook"]),
        ("mailtos://canary", ["kind email"]),
        ("gotifys://h/canary?verify=no", ["verify"]),
        ("gotifys://h/canary?Redirect=yes&rto=1", ["redirect", "rto"]),
        ("gotifys://h/canary?+%72edirect=yes", ["redirect"]),
        ("ntfys://canary?attach=/etc/passwd", ["attach"]),
        ("gotifys://h/canary, syslog://", ["apprise.url"]),
    ],
)
def test_an_url_that_leads_astray_is_refused_with_what_to_do(shared_world: World, url: str, words: list[str]) -> None:
    code, message = refusal(lambda: create(shared_world, name="phone", apprise=AppriseChannel(url=url)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert [word for word in words if word not in message] == []
    assert "canary" not in message


@pytest.fixture(scope="module")
def known() -> set[str]:
    """The schemes that the installed Apprise knows."""
    with warnings.catch_warnings():
        # Of a module that Python will do without.
        warnings.simplefilter("ignore", DeprecationWarning)
        details: dict[str, Any] = apprise.Apprise().details()
    return {
        scheme
        for service in details["schemas"]
        for scheme in (*(service["protocols"] or ()), *(service["secure_protocols"] or ()))
    }


def test_every_service_that_is_listed_is_one_that_apprise_reaches(known: set[str]) -> None:
    assert set(SERVICES) - known == set()
    assert set(SERVICES) & set(NATIVE) == set()
    assert len(set(SERVICES.values())) > 120


def test_the_page_about_channels_lists_every_service() -> None:
    page = (Path(__file__).parents[2] / "docs" / "channels.md").read_text().replace("\n", " ")
    assert [name for name in SERVICES.values() if f"{name} (`" not in page] == []


def test_nothing_is_reached_that_leads_into_a_network_or_anywhere() -> None:
    for scheme in ("syslog", "rsyslog", "amqp", "mqtt", "irc", "xmpp", "smpp", "kodi", "emby", "hassio", "enigma2",
                   "synology", "jellyfin", "json", "xml", "form", "apprise", "dbus", "glib", "gnome", "windows",
                   "macosx", "http", "https", "file"):  # fmt: skip
        assert scheme not in SERVICES
        assert f"{scheme}s" not in SERVICES


@pytest.mark.parametrize("told", TOLD)
def test_everything_that_people_are_told_has_a_title_and_a_text(told: str) -> None:
    title, body = render(TOLD[told], NOW)
    assert title
    assert body


@settings(max_examples=30)
@given(contents)
def test_texts_are_bounded_whatever_is_told(content: Content) -> None:
    title, body = render(content, NOW)
    assert 0 < len(title) <= MAX_TITLE
    assert 0 < len(body) <= MAX_BODY
