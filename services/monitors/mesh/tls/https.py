"""TLS for what speaks HTTP: the server shows its certificate, and its clients, who have a credential, need none."""

import logging
import ssl
from typing import Any

from monitors.mesh.tls.certificates import Certificates, CertificatesUnusable

log = logging.getLogger(__name__)


def https_context(certificates: Certificates) -> ssl.SSLContext:
    """What a server speaks TLS with. At each handshake it's the certificate that there is by then.

    Raises CertificatesUnusable.
    """
    made = certificates.present, _context(certificates)

    def choose(connection: Any, _: str | None, __: ssl.SSLContext) -> None:
        nonlocal made
        present = certificates.present
        if present is not made[0]:
            try:
                made = present, _context(certificates)
            except CertificatesUnusable as error:
                # They are being replaced at this moment: the next handshake looks again.
                log.warning("%s; the certificate from before stays in use", error)
        connection.context = made[1]

    made[1].sni_callback = choose
    return made[1]


def _context(certificates: Certificates) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(*certificates.own_files)
    except (OSError, ssl.SSLError) as error:
        names = " and ".join(map(str, certificates.own_files))
        raise CertificatesUnusable(f"{names} can't be used") from error
    return context
