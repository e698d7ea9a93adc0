"""Points over TLS: with the certificate of the services, and with the next one as soon as it's there."""

import http.client
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from monitors.app.tls import https_of
from monitors.evaluator.ingest import Ingest, listening
from monitors.evaluator.reader import LineReader
from monitors.mesh.config import BadSetting, TlsSettings, load_settings
from monitors.mesh.tls import Certificates, https_context
from monitors.mesh.tls import certificates as looking
from tests.certificates import Authority
from tests.evaluator.ingest.parts import WaysIn, authenticate
from tests.harness import LoopThread

NAME = "evaluator.alerting.svc"
KEY = {"Authorization": "Token acme-key"}


@dataclass(frozen=True)
class Endpoint:
    """Where points are taken over TLS, with the certificate in a folder."""

    authority: Authority
    folder: Path
    port: int

    def write(self) -> tuple[int, bytes]:
        """Writes a point over a connection of its own. Returns the status, and the server's certificate."""
        trusting = ssl.create_default_context(cafile=str(self.authority.file))
        connection = http.client.HTTPSConnection("127.0.0.1", self.port, context=trusting, timeout=30)
        try:
            connection.request("POST", "/api/v2/write", b"m x=1", KEY)
            certificate = connection.sock.getpeercert(binary_form=True)
            return connection.getresponse().status, certificate or b""
        finally:
            connection.close()


@pytest.fixture
def endpoint(
    opened: WaysIn, loop_thread: LoopThread, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Endpoint]:
    # No test waits for the next look at the files.
    monkeypatch.setattr(looking, "LOOK_SECONDS", 0.0)
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue(tmp_path / "evaluator", NAME)
    certificates = Certificates(TlsSettings(certificate, key, authority.file, frozenset({NAME})))
    ingest = Ingest(opened.intake, LineReader(opened.catalogue), authenticate, str)
    with loop_thread.opened(listening(ingest, "127.0.0.1", 0, https_context(certificates))) as port:
        yield Endpoint(authority, tmp_path / "evaluator", port)


def test_who_trusts_the_authority_writes_without_a_certificate_of_their_own(endpoint: Endpoint) -> None:
    assert endpoint.write()[0] == 204


def test_nothing_is_taken_in_plain_text(endpoint: Endpoint) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", endpoint.port, timeout=30)
    connection.request("POST", "/api/v2/write", b"m x=1", KEY)
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.getresponse()
    connection.close()


def test_a_new_certificate_is_shown_to_the_next_connection(endpoint: Endpoint) -> None:
    _, before = endpoint.write()
    endpoint.authority.issue(endpoint.folder, NAME)
    status, after = endpoint.write()
    assert status == 204
    assert after != before


def test_a_certificate_whose_key_is_not_there_yet_is_left_until_it_is(endpoint: Endpoint) -> None:
    _, before = endpoint.write()
    certificate, key = endpoint.authority.make(NAME)
    (endpoint.folder / "cert").write_bytes(certificate)
    assert endpoint.write() == (204, before)
    (endpoint.folder / "key").write_bytes(key)
    assert endpoint.write()[1] != before


def test_it_is_wanted_by_a_variable_and_needs_a_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "authority")
    certificate, key = authority.issue(tmp_path / "evaluator", NAME)
    files = {
        "MONITORS_TLS_CERT_FILE": str(certificate), "MONITORS_TLS_KEY_FILE": str(key),
        "MONITORS_TLS_CA_FILE": str(authority.file), "MONITORS_TLS_SERVICES": NAME,
    }  # fmt: skip
    certificates = Certificates(TlsSettings(certificate, key, authority.file, frozenset({NAME})))
    assert https_of(load_settings(files), certificates) is None
    assert https_of(load_settings({**files, "MONITORS_HTTP_TLS": "true"}), certificates) is not None
    with pytest.raises(BadSetting, match="MONITORS_HTTP_TLS needs a certificate"):
        load_settings({"MONITORS_HTTP_TLS": "true"})
