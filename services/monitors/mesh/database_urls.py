"""URLs of databases, checked before anything is opened. Knows no library of databases, so that commands start fast."""

from collections.abc import Iterator
from urllib.parse import parse_qsl, urlsplit

SQLITE = "sqlite:///"
SERVERS = ("mysql+pymysql", "mariadb+pymysql")
FORMS = (
    "sqlite:///PATH or mysql+pymysql://USER:PASSWORD@HOST:PORT/DATABASE (with special characters of the password as "
    "%40 for @, %2F for /; `?unix_socket=PATH` for a socket, `?ssl_ca=PATH` for TLS)"
)
PARAMETERS = ("unix_socket", "ssl_ca", "ssl_cert", "ssl_key", "ssl_check_hostname")


def is_server(url: str) -> bool:
    """Whether a URL names a server, and not a file."""
    return not url.startswith(SQLITE)


def check_database_url(url: str) -> None:
    """Raises ValueError, which says what is wrong without a word of the URL itself: it may hold a password."""
    if url.startswith(SQLITE) and len(url) > len(SQLITE):
        return
    problem = next(_problems(url), "")
    if problem:
        raise ValueError(f"{problem}; it must be {FORMS}")


def _problems(url: str) -> Iterator[str]:
    scheme = url.partition(":")[0]
    if scheme not in SERVERS:
        wants_driver = scheme in ("mysql", "mariadb")
        yield "names no driver" if wants_driver else "is of no kind that is known"
    try:
        parts = urlsplit(url)
        names = dict(parse_qsl(parts.query, keep_blank_values=True))
        has_place = bool(parts.hostname and parts.port != 0) or "unix_socket" in names
    except ValueError:
        yield "can't be read"
        return
    if parts.netloc.count("@") > 1:
        # Libraries would take what follows the first one for the host, and show it.
        yield "has more than one `@`"
    if parts.fragment or not has_place:
        yield "names no host"
    if not parts.username:
        yield "names no user"
    if len(parts.path) < 2 or "/" in parts.path[1:]:
        yield "names no database"
    if any(name not in PARAMETERS for name in names):
        yield f"has a parameter other than {', '.join(PARAMETERS)}"
