"""URLs to check, and the monitors that they become."""

from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

LONGEST_URL = 2048


@dataclass(frozen=True)
class Target:
    """A URL to ask. `label` is the URL without user and password, for the tag `url`."""

    url: str
    label: str
    monitor_id: str
    host: str
    port: int
    is_https: bool


def parse_target(url: str) -> Target:
    """The target of an http or https URL. Raises ValueError, whose message names the URL and the accepted form."""
    refusal = f"{url[:100]!r} isn't a URL that can be checked; write it as `https://example.org/path`"
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        raise ValueError(refusal)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(refusal) from None
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host:
        raise ValueError(refusal)
    is_https = parts.scheme == "https"
    place = parts.netloc.rpartition("@")[2]
    label = urlunsplit((parts.scheme, place, parts.path, parts.query, ""))
    return Target(url, label, f"mon_check_{host}", host, port or (443 if is_https else 80), is_https)
