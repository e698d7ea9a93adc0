"""Where the Redis is that the processes of the mesh share."""

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from environs import Env, EnvError

from monitors.mesh.masking import SecretUrl


@dataclass(frozen=True)
class RedisSettings:
    """The Redis that the processes of the mesh share."""

    url: SecretUrl

    @property
    def place(self) -> str:
        """Where it is, without anything secret: `host:port`, or the path of a socket."""
        parts = urlsplit("".join(self.url))
        return f"{parts.hostname}:{parts.port or 6379}" if parts.hostname else unquote(parts.path)


def read_redis(env: Env) -> RedisSettings | None:
    """Reads the environment. Raises EnvError, without the URL."""
    url = env.str("REDIS_URL", "")
    try:
        if not url or _is_redis_url(url):
            return RedisSettings(SecretUrl(url)) if url else None
    except ValueError:
        pass
    # Not a word of the URL itself, which may hold a password.
    raise EnvError(
        "REDIS_URL must be `redis://[[user]:password@]host[:port][/database]`, the same with `rediss://` for TLS, or "
        "`unix:///path/to/socket[?db=database]`, with `%` and two digits for each special character of the password"
    )


def _is_redis_url(url: str) -> bool:
    """Whether the client will take it. Raises ValueError for some that it won't."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    options.pop("password", "")
    database = options.pop("db", parts.path.strip("/") if parts.scheme != "unix" else "") or "0"
    files = {"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"} if parts.scheme == "rediss" else set()
    if not (database.isascii() and database.isdigit() and options.keys() <= files and not parts.fragment):
        return False
    if parts.scheme == "unix":
        return parts.path.startswith("/") and len(parts.path) > 1 and not parts.hostname
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname) and parts.port != 0
