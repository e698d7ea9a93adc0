"""The certificates of a process, if it's to speak TLS."""

from monitors.mesh.config import BadSetting, Settings
from monitors.mesh.tls import Certificates, CertificatesUnusable


def certificates_of(settings: Settings) -> Certificates | None:
    """None for plain text. Raises BadSetting."""
    if settings.tls is None:
        return None
    try:
        return Certificates(settings.tls)
    except CertificatesUnusable as error:
        raise BadSetting(f"MONITORS_TLS_CERT_FILE, MONITORS_TLS_KEY_FILE, MONITORS_TLS_CA_FILE: {error}") from error
