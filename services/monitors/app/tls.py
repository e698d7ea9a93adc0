"""The certificates of a process, if it's to speak TLS."""

import ssl

from monitors.mesh.config import BadSetting, Settings
from monitors.mesh.tls import Certificates, CertificatesUnusable, https_context


def certificates_of(settings: Settings) -> Certificates | None:
    """None for plain text. Raises BadSetting."""
    if settings.tls is None:
        return None
    try:
        return Certificates(settings.tls)
    except CertificatesUnusable as error:
        raise BadSetting(f"MONITORS_TLS_CERT_FILE, MONITORS_TLS_KEY_FILE, MONITORS_TLS_CA_FILE: {error}") from error


def https_of(settings: Settings, certificates: Certificates | None) -> ssl.SSLContext | None:
    """What points are taken over TLS with; None for plain text. Raises BadSetting."""
    if certificates is None or not settings.has_https:
        return None
    try:
        return https_context(certificates)
    except CertificatesUnusable as error:
        raise BadSetting(f"MONITORS_HTTP_TLS: {error}") from error
