"""What the bridge must know to start, from the environment and the command line."""

import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

LOOPBACK = ("127.0.0.1", "localhost", "::1")
DEFAULT_SERVER_PORT = "50051"
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_SERVER_PORT}"
DEFAULT_PORT = 9122
DEFAULT_MAX_CLIENTS = 1000
STATE_KEY_LENGTH = 32
SECRETS_FOLDER = "MONITORS_SECRETS_DIR"
TLS_FILES = ("MONITORS_TLS_CA_FILE", "MONITORS_TLS_KEY_FILE", "MONITORS_TLS_CERT_FILE")
SERVED_FILES = ("MONITORS_MCP_TLS_CERT_FILE", "MONITORS_MCP_TLS_KEY_FILE")


class BadSetting(Exception):
    """A setting has a wrong value or can't be used. The message names it and the fix."""


@dataclass(frozen=True)
class TlsFiles:
    """PEM files: whose certificates are taken of the mesh, and the bridge's own key and certificate."""

    authority: Path
    key: Path
    certificate: Path

    def read(self) -> tuple[bytes, bytes, bytes]:
        """What is in them. Raises OSError."""
        return self.authority.read_bytes(), self.key.read_bytes(), self.certificate.read_bytes()


@dataclass(frozen=True)
class MeshSettings:
    """Where the mesh is and which credential opens it."""

    address: str = DEFAULT_SERVER
    """The gRPC target of RuleService."""
    key: str = field(default="", repr=False)
    """The API key; if empty, `key_file` is read."""
    key_file: Path = Path("~/.monitors/key")
    tls: TlsFiles | None = None
    """What it speaks TLS with to the mesh; None for plain text."""


@dataclass(frozen=True)
class ServedFiles:
    """PEM files by which the bridge is called: a certificate, with what leads up to its authority, and its key."""

    certificate: Path
    key: Path

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Something else than before if either is another one. Raises OSError."""
        return tuple((one.st_ino, one.st_mtime_ns, one.st_size) for one in (self.certificate.stat(), self.key.stat()))


@dataclass(frozen=True)
class HttpSettings:
    """Where streamable HTTP is served. `allowed_hosts` are further names by which clients may call it, `max_clients` is
    how many connections, and how many sessions of the older protocol, may be open at once."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    allowed_hosts: tuple[str, ...] = ()
    max_clients: int = DEFAULT_MAX_CLIENTS
    state_keys: tuple[str, ...] = field(default=(), repr=False)
    """What seals the state between a question and its answer; the first seals, each unseals."""
    tls: ServedFiles | None = None
    """What it's served over TLS with; None for plain HTTP."""

    @property
    def scheme(self) -> str:
        """Of its URL."""
        return "https" if self.tls else "http"

    @property
    def is_local(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK


def take_secret_files(environment: MutableMapping[str, str]) -> None:
    """Adds what the files say that lie in the folder MONITORS_SECRETS_DIR, each named as a variable; what is set
    already stays. Raises BadSetting."""
    folder = environment.get(SECRETS_FOLDER, "")
    if not folder:
        return
    try:
        for path in Path(folder).iterdir():
            if re.fullmatch(r"[A-Z][A-Z0-9_]*", path.name) and path.is_file():
                environment.setdefault(path.name, path.read_text().rstrip("\r\n"))
    except (OSError, UnicodeDecodeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text"
        raise BadSetting(
            f"{SECRETS_FOLDER}: {folder} can't be read ({reason}); name a folder with a file for each variable"
        ) from None


def load_mesh_settings(environment: Mapping[str, str]) -> MeshSettings:
    """The mesh of `MONITORS_SERVER`, else this machine's at `MONITORS_GRPC_PORT`.

    Its key is `MONITORS_KEY`, else the one in `$MONITORS_HOME/key`. Raises BadSetting.
    """
    home = Path(environment.get("MONITORS_HOME") or "~/.monitors").expanduser()
    port = environment.get("MONITORS_GRPC_PORT") or DEFAULT_SERVER_PORT
    return MeshSettings(
        address=environment.get("MONITORS_SERVER") or f"127.0.0.1:{port}",
        key=environment.get("MONITORS_KEY", "").strip(),
        key_file=home / "key",
        tls=load_tls_files(environment),
    )


def load_tls_files(environment: Mapping[str, str]) -> TlsFiles | None:
    """None for plain text. Raises BadSetting."""
    given = [environment.get(name, "").strip() for name in TLS_FILES]
    if not any(given):
        return None
    for name, path in zip(TLS_FILES, given, strict=True):
        if not path or not Path(path).is_file():
            problem = f"there is no file {path}" if path else "isn't set"
            raise BadSetting(f"{name}: {problem}; TLS needs {', '.join(TLS_FILES)}, or none of them")
    return TlsFiles(*map(Path, given))


def load_http_settings(environment: Mapping[str, str], host: str, port: str, allowed_hosts: list[str]) -> HttpSettings:
    """Address and names from the command line, else the environment. Raises BadSetting."""
    names = [name.strip() for name in environment.get("MONITORS_MCP_ALLOWED_HOSTS", "").split(",")]
    return HttpSettings(
        host=host,
        port=_port("--port", port) if port else _port("MONITORS_MCP_PORT", environment.get("MONITORS_MCP_PORT", "")),
        allowed_hosts=tuple(name for name in [*names, *allowed_hosts] if name),
        max_clients=_count("MONITORS_MCP_MAX_CLIENTS", environment.get("MONITORS_MCP_MAX_CLIENTS", "").strip()),
        state_keys=_state_keys(environment.get("MONITORS_MCP_STATE_KEY", "")),
        tls=_served_files(environment),
    )


def _served_files(environment: Mapping[str, str]) -> ServedFiles | None:
    given = {name: environment.get(name, "").strip() for name in SERVED_FILES}
    if not any(given.values()):
        return None
    for name, path in given.items():
        if not path:
            raise BadSetting(f"{name}: isn't set; HTTPS needs {' and '.join(SERVED_FILES)}, or neither")
        if not Path(path).is_file():
            raise BadSetting(f"{name}: there is no file {path}; name one in PEM")
    return ServedFiles(*map(Path, given.values()))


def _count(name: str, text: str) -> int:
    if not text:
        return DEFAULT_MAX_CLIENTS
    if text.isascii() and text.isdigit() and 1 <= int(text) <= 100_000:
        return int(text)
    raise BadSetting(f"{name}: {text!r} isn't a count; give a number from 1 to 100000")


def _state_keys(text: str) -> tuple[str, ...]:
    keys = tuple(dict.fromkeys(key for key in (part.strip() for part in text.split(",")) if key))
    # The value is a secret, so the error doesn't repeat it.
    if any(len(key) < STATE_KEY_LENGTH for key in keys):
        raise BadSetting(
            f"MONITORS_MCP_STATE_KEY: a key has fewer than {STATE_KEY_LENGTH} characters; `openssl rand -hex 32` makes "
            "one, and `new,old` replaces one without breaking what is under way"
        )
    return keys


def _port(name: str, text: str) -> int:
    if not text:
        return DEFAULT_PORT
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise BadSetting(f"{name}: {text!r} isn't a port; give a number from 0 to 65535 (0 takes a free one)")
