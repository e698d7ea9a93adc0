"""A certificate, its key and the authority, out of files that somebody replaces while they're in use."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from monitors.mesh.config.tls import TlsSettings

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""How often the files are looked at, at most."""
SUBJECT_NAMES = "x509_subject_alternative_name"


class CertificatesUnusable(Exception):
    """The files can't be used. The message names them and what is wrong, and has nothing of the key."""


@dataclass(frozen=True)
class Pem:
    """What is in the files."""

    certificate: bytes
    key: bytes = field(repr=False)
    authority: bytes

    @property
    def server(self) -> grpc.ServerCertificateConfiguration:
        """For the next handshakes of a server."""
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.authority)

    @property
    def client(self) -> grpc.ChannelCredentials:
        """For the connections of a channel."""
        return grpc.ssl_channel_credentials(self.authority, self.key, self.certificate)


class Certificates:
    """The files' present content. What can't be used, such as a new certificate whose key isn't there yet, is left
    until it can; what was there before stays in use. Any thread may ask."""

    def __init__(self, settings: TlsSettings) -> None:
        """Raises CertificatesUnusable."""
        self._settings = settings
        self._lock = threading.Lock()
        self._signature = self._look()
        self._pem = self._read()
        self._looked = time.monotonic()

    @property
    def present(self) -> Pem:
        """What is to be used for a connection that is made now. The same object for as long as nothing has changed."""
        with self._lock:
            now = time.monotonic()
            if now - self._looked >= LOOK_SECONDS:
                self._looked = now
                self._take_changes()
            return self._pem

    def _take_changes(self) -> None:
        signature = self._look()
        if signature == self._signature:
            return
        try:
            self._pem = self._read()
        except CertificatesUnusable as error:
            log.warning("%s; the certificate from before stays in use", error)
        else:
            log.info("another certificate is in use")
        self._signature = signature

    def server_credentials(self) -> grpc.ServerCredentials:
        """For a server that wants a certificate of every client. Looked at again at each handshake."""
        return grpc.dynamic_ssl_server_credentials(
            self.present.server, lambda: self.present.server, require_client_authentication=True
        )

    def is_service(self, peer: Mapping[str, Iterable[bytes]]) -> bool:
        """Whether a caller's certificate, as gRPC's `auth_context` tells it, is that of a service."""
        names = {name.decode(errors="replace") for name in peer.get(SUBJECT_NAMES, ())}
        return not names.isdisjoint(self._settings.services)

    @property
    def own_files(self) -> tuple[Path, Path]:
        """The certificate and its key."""
        return self._settings.certificate, self._settings.key

    @property
    def _files(self) -> tuple[Path, Path, Path]:
        return self._settings.certificate, self._settings.key, self._settings.authority

    def _look(self) -> tuple[tuple[int, int, int], ...]:
        """Something else than before if any of the files is another one."""
        found = []
        for file in self._files:
            try:
                stat = file.stat()
                found.append((stat.st_ino, stat.st_mtime_ns, stat.st_size))
            except OSError:
                found.append((0, 0, 0))
        return tuple(found)

    def _read(self) -> Pem:
        try:
            pem = Pem(*(file.read_bytes() for file in self._files))
        except OSError as error:
            raise CertificatesUnusable(f"{error.filename} can't be read ({error.strerror})") from None
        names = " and ".join(map(str, self._files[:2]))
        try:
            certificate = x509.load_pem_x509_certificates(pem.certificate)[0]
            key = load_pem_private_key(pem.key, password=None)
            x509.load_pem_x509_certificates(pem.authority)
        except (ValueError, TypeError) as error:
            raise CertificatesUnusable(
                f"{names}, or the authority {self._files[2]}, aren't certificates and a key without a password in PEM"
            ) from error
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if certificate.public_key().public_bytes(*form) != key.public_key().public_bytes(*form):
            raise CertificatesUnusable(f"{names} don't belong together")
        return pem
