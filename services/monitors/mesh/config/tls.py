"""Certificates by which the services of the mesh know each other, if they speak TLS."""

from dataclasses import dataclass
from pathlib import Path

from environs import Env, EnvError

from monitors.mesh.config import values

FILES = ("MONITORS_TLS_CERT_FILE", "MONITORS_TLS_KEY_FILE", "MONITORS_TLS_CA_FILE")


@dataclass(frozen=True)
class TlsSettings:
    """Files in PEM, read again when they change, and whose certificates are those of services."""

    certificate: Path
    """Of this process, with what leads up to the authority."""
    key: Path
    authority: Path
    """Whose certificates are taken, of servers and of clients."""
    services: frozenset[str]
    """Names in the certificates of services, as DNS names, URIs or addresses. Nobody else is taken for one."""


def read_tls(env: Env) -> TlsSettings | None:
    """Reads the environment; None for no TLS. Raises EnvError."""
    given = {name: env.str(name, "") for name in FILES}
    services = frozenset(values.listed(env, "MONITORS_TLS_SERVICES", str))
    if not any(given.values()):
        return None
    missing = [name for name, path in given.items() if not path]
    if missing:
        raise EnvError(
            f"{' and '.join(missing)} isn't set; for TLS set {', '.join(FILES)} and MONITORS_TLS_SERVICES together, "
            "or none of them for plain text"
        )
    for name, path in given.items():
        if not Path(path).is_file():
            raise EnvError(f"{name}: there is no file {path}; name one in PEM")
    if not services:
        raise EnvError(
            "MONITORS_TLS_SERVICES isn't set; name what the certificates of the mesh's services are made out to, "
            "between commas, such as rules.alerting.svc,evaluator.alerting.svc,notifier.alerting.svc"
        )
    certificate, key, authority = map(Path, given.values())
    return TlsSettings(certificate, key, authority, services)
