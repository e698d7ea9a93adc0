"""What the operator names is connected to where it is, but never where clouds keep their credentials."""

import socket
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

import pytest

from monitors.evaluator.sources.detect import open_source
from monitors.evaluator.sources.errors import SourceUnavailable
from monitors.evaluator.sources.port import Selection
from monitors.evaluator.sources.settings import InfluxSettings
from monitors.mesh.addresses import may_serve
from monitors.mesh.config import SmtpSettings
from monitors.mesh.errors import IdentityUnavailable
from monitors.mesh.identity.settings import OidcSettings
from monitors.mesh.masking import Secret
from monitors.mesh.outbound import AddressRefused, connect, connect_blocking
from monitors.notifier.channels.email.letters import Letter
from monitors.notifier.channels.email.render import render
from monitors.notifier.channels.email.smtp import send
from monitors.notifier.model.delivery import OutcomeKind
from monitors.notifier.translate import message_from_payload
from monitors.rules.identity.issuer_keys import IssuerKeys
from tests.harness import LoopThread
from tests.notifier.world import notification

NEVER = ["169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "::", "64:ff9b::a9fe:a9fe", "::ffff:169.254.169.254"]
SERVED = ["127.0.0.1", "10.0.0.1", "192.168.1.1", "100.64.0.1", "8.8.8.8", "::1", "fd00::1", "2606:4700:4700::1111"]
NAME, INSIDE = "rebinding.example.org", "169.254.1.1"


@pytest.mark.parametrize("address", NEVER)
def test_no_service_is_at(address: str) -> None:
    assert not may_serve(ip_address(address))


@pytest.mark.parametrize("address", SERVED)
def test_a_service_may_be_at(address: str) -> None:
    assert may_serve(ip_address(address))


@pytest.fixture
def rebound(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that leads to a cloud's credentials by now."""
    asked = socket.getaddrinfo

    def answer(host: Any, *arguments: Any, **named: Any) -> Any:
        return asked(INSIDE if host == NAME else host, *arguments, **named)

    monkeypatch.setattr(socket, "getaddrinfo", answer)


@pytest.mark.usefixtures("rebound")
def test_a_name_that_turns_to_a_clouds_credentials_is_not_connected_to(loop_thread: LoopThread) -> None:
    with pytest.raises(AddressRefused):
        loop_thread.run(connect(NAME, 80))
    with pytest.raises(AddressRefused):
        connect_blocking(NAME, 80, 2.0, ())


def test_what_may_be_connected_to_is(loop_thread: LoopThread) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        loop_thread.run(connect("127.0.0.1", port)).close()
        connect_blocking("127.0.0.1", port, 2.0, [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]).close()


async def ask_influxdb(major: int | None) -> None:
    source = await open_source(InfluxSettings(f"http://{NAME}", major=major))
    try:
        async for _ in source.read(Selection(("mon_host",)), 0, 1):
            pass
    finally:
        await source.close()


async def ask_an_issuer() -> None:
    await IssuerKeys(OidcSettings(f"https://{NAME}", "mesh")).find("key")


async def mail() -> None:
    settings = SmtpSettings(NAME, 25, "none", "", Secret(""), "monitors@example.org")
    message = message_from_payload(notification("note_1").SerializeToString(), "chan_1")
    written = render(message, settings.sender, ("ann@example.org",), 0)
    outcome = await send([Letter(written, ("ann@example.org",))], settings)
    if outcome.kind is OutcomeKind.RETRYABLE:
        raise ConnectionError(outcome.detail)


@pytest.mark.usefixtures("rebound")
@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (lambda: ask_influxdb(None), SourceUnavailable),
        (lambda: ask_influxdb(1), SourceUnavailable),
        (lambda: ask_influxdb(2), SourceUnavailable),
        (ask_an_issuer, IdentityUnavailable),
        (mail, ConnectionError),
    ],
    ids=["an InfluxDB of any version", "InfluxDB 1", "InfluxDB 2", "an issuer", "a mail server"],
)
def test_every_way_to_what_the_operator_names_is_checked(
    loop_thread: LoopThread, caplog: pytest.LogCaptureFixture, ask: Callable[[], Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        loop_thread.run(ask())
    assert f"refused to connect to {INSIDE}" in caplog.text
