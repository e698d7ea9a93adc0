"""The collector of URLs, against servers that are up, broken, or not there."""

import ipaddress
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from line_protocol_parser import parse_line

from monitors.collectors.check import Checker, certificate_expiry, open_session
from monitors.collectors.targets import parse_target
from tests.collectors.receiver import serving
from tests.harness import LoopThread


async def answer(request: web.Request) -> web.Response:
    """Answers with the status in the path; 302 leads to a page that is broken."""
    status = int(request.match_info["status"])
    return web.Response(status=status, headers={"Location": "/500"} if status == 302 else {})


def application() -> web.Application:
    """A site whose paths are statuses."""
    app = web.Application()
    app.router.add_get("/{status}", answer)
    return app


@pytest.fixture(scope="module")
def site(loop_thread: LoopThread) -> Iterator[str]:
    with loop_thread.opened(serving(application())) as port:
        yield f"127.0.0.1:{port}"


def make_certificate(folder: Path, days: float) -> ssl.SSLContext:
    """A server's context with a self-made certificate that ends in `days`; its file is `folder/certificate.pem`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    end = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - timedelta(days=400))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    certificate = builder.sign(key, hashes.SHA256())
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


@asynccontextmanager
async def checker_of(url: str) -> AsyncIterator[Checker]:
    """A checker with its own session."""
    async with open_session() as session:
        yield Checker(parse_target(url), session)


def check(loop_thread: LoopThread, url: str) -> Any:
    """One check's point."""

    async def once() -> list[str]:
        async with checker_of(url) as checker:
            return await checker.check()

    (line,) = loop_thread.run(once())
    return parse_line(line)


def test_a_site_that_answers_is_up(loop_thread: LoopThread, site: str) -> None:
    point = check(loop_thread, f"http://{site}/200")
    assert point["measurement"] == "check"
    assert point["tags"] == {"monitor_id": "mon_check_127.0.0.1", "url": f"http://{site}/200"}
    assert (point["fields"]["is_up"], point["fields"]["status_code"]) == (1, 200)
    assert 0 < point["fields"]["response_time"] < 10_000
    assert "tls_days_left" not in point["fields"]


@pytest.mark.parametrize(("status", "is_up"), [(204, 1), (302, 1), (404, 0), (500, 0), (503, 0)])
def test_its_status_decides_and_redirects_are_not_followed(
    loop_thread: LoopThread, site: str, status: int, is_up: int
) -> None:
    fields = check(loop_thread, f"http://{site}/{status}")["fields"]
    assert (fields["is_up"], fields["status_code"]) == (is_up, status)
    assert "response_time" in fields


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "http://no-such-host.invalid/"])
def test_a_site_that_is_not_there_is_down_and_has_no_response_time(loop_thread: LoopThread, url: str) -> None:
    assert check(loop_thread, url)["fields"] == {"is_up": 0}


@pytest.mark.parametrize("days", [20.0, -3.0])
def test_a_certificate_that_is_not_trusted_is_down_but_its_days_are_told(
    loop_thread: LoopThread, tmp_path: Path, days: float
) -> None:
    context = make_certificate(tmp_path, days)
    with loop_thread.opened(serving(application(), ssl_context=context)) as port:
        fields = check(loop_thread, f"https://127.0.0.1:{port}/200")["fields"]
        expiry = loop_thread.run(certificate_expiry("127.0.0.1", port))
    assert fields["is_up"] == 0
    assert fields["tls_days_left"] == pytest.approx(days, abs=0.01)
    assert expiry == pytest.approx(datetime.now(UTC).timestamp() + days * 86_400, abs=600)


def test_the_password_of_a_url_is_not_written(loop_thread: LoopThread, site: str) -> None:
    point = check(loop_thread, f"http://ann:secret@{site}/200#top")
    assert point["tags"]["url"] == f"http://{site}/200"
    assert point["fields"]["is_up"] == 1


@pytest.mark.parametrize(
    ("url", "monitor_id"),
    [
        ("https://Example.ORG/a?b=c", "mon_check_example.org"),
        ("http://localhost:8080", "mon_check_localhost"),
        ("http://[::1]:80/", "mon_check_::1"),
    ],
)
def test_a_monitor_is_named_after_the_host(url: str, monitor_id: str) -> None:
    assert parse_target(url).monitor_id == monitor_id


@pytest.mark.parametrize(
    "url", ["", "example.org", "file:///etc/passwd", "http://", "http://a b", "http://a:99999", "x" * 3000]
)
def test_what_is_no_url_is_refused_with_the_right_form(url: str) -> None:
    with pytest.raises(ValueError, match=r"write it as `https://example\.org/path`"):
        parse_target(url)
