"""What the bridge must know to take OAuth tokens, from the environment."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from monitors.bridge.settings import LOOPBACK, BadSetting

ISSUER, RESOURCE, JWKS = "MONITORS_MCP_ISSUER", "MONITORS_MCP_RESOURCE_URL", "MONITORS_MCP_JWKS_URL"
TENANT, TENANT_CLAIM = "MONITORS_MCP_TENANT", "MONITORS_MCP_TENANT_CLAIM"
ACCEPT_KEYS, SECRET = "MONITORS_MCP_ACCEPT_KEYS", "MONITORS_BRIDGE_SECRET"
DEFAULT_TENANT_CLAIM = "tenant"
SHORTEST_SECRET = 32
LOCAL_TENANT = "local"
TENANT_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
TENANT_IN_WORDS = "1 to 40 letters, digits, '_', '.' or '-'"
_WORDS = {"": False, "no": False, "false": False, "0": False, "yes": True, "true": True, "1": True}


@dataclass(frozen=True)
class OAuthSettings:
    """Whose tokens are taken, and how a caller becomes a user of a tenant."""

    issuer: str
    """The authorization server, exactly as its tokens' `iss` has it."""
    resource_url: str
    """The bridge's public URL, which a token must have as its audience."""
    secret: str = field(repr=False)
    """What statements to RuleService are signed with."""
    jwks_url: str = ""
    """Where the issuer's keys are; empty to find that in its metadata."""
    tenant: str = ""
    """The tenant of all users; empty to read it from `tenant_claim`."""
    tenant_claim: str = DEFAULT_TENANT_CLAIM
    accepts_keys: bool = False
    """Whether API keys of the mesh are taken too."""

    @property
    def resource_host(self) -> str:
        """The name by which the public calls the bridge. A proxy may pass it on without its port."""
        name = urlsplit(self.resource_url).hostname or ""
        return f"[{name}]" if ":" in name else name


def load_oauth_settings(environment: Mapping[str, str]) -> OAuthSettings | None:
    """None without an issuer: then callers come with API keys. Raises BadSetting."""
    given = {name: environment.get(name, "").strip() for name in (RESOURCE, JWKS, TENANT, TENANT_CLAIM, ACCEPT_KEYS)}
    issuer = environment.get(ISSUER, "").strip()
    if not issuer:
        for name in (name for name, value in given.items() if value):
            raise BadSetting(
                f"{name} is set, but {ISSUER} isn't; give the issuer's URL too, or unset {name} to serve API keys alone"
            )
        return None
    if not given[RESOURCE]:
        raise BadSetting(
            f"{RESOURCE} isn't set; give the bridge's public URL, such as 'https://alerts.example.org/mcp'"
        )
    if given[TENANT] and given[TENANT_CLAIM]:
        raise BadSetting(
            f"{TENANT} and {TENANT_CLAIM} are both set; one tenant for all users, or a claim that names it"
        )
    if given[TENANT] and not TENANT_FORM.fullmatch(given[TENANT]):
        raise BadSetting(f"{TENANT}: {given[TENANT]!r} isn't a tenant; give {TENANT_IN_WORDS}, such as 'acme'")
    return OAuthSettings(
        issuer=_url(ISSUER, issuer),
        resource_url=_url(RESOURCE, given[RESOURCE]),
        secret=_secret(environment.get(SECRET, "").strip()),
        jwks_url=_url(JWKS, given[JWKS]) if given[JWKS] else "",
        tenant=given[TENANT],
        tenant_claim=given[TENANT_CLAIM] or DEFAULT_TENANT_CLAIM,
        accepts_keys=_yes_or_no(ACCEPT_KEYS, given[ACCEPT_KEYS]),
    )


def is_safe(url: str) -> bool:
    """Whether nobody between can change what comes from the URL: https, or plain http on this machine."""
    try:
        parts = urlsplit(url)
        return bool(parts.hostname) and (
            parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in LOOPBACK)
        )
    except ValueError:
        return False


def _url(name: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        fits = is_safe(text) and not (parts.query or parts.fragment or parts.username or parts.password)
    except ValueError:
        fits = False
    if not fits:
        # What comes before an `@` may be a password.
        raise BadSetting(
            f"{name}: {text.rpartition('@')[2]!r} isn't a URL that can be used; give one with https (http on this "
            "machine alone) and without user, query and fragment, such as 'https://alerts.example.org/mcp'"
        )
    return text


def _secret(text: str) -> str:
    if len(text) < SHORTEST_SECRET:
        seen = f"has {len(text)} characters" if text else "isn't set"
        raise BadSetting(
            f"{SECRET} {seen}; give the bridge and RuleService the same one of at least {SHORTEST_SECRET} characters, "
            "for example from `openssl rand -hex 32`"
        )
    if "," in text:
        raise BadSetting(f"{SECRET} has a comma; RuleService takes several, the bridge signs with one alone")
    return text


def _yes_or_no(name: str, text: str) -> bool:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    raise BadSetting(f"{name}: {text!r} is neither 'yes' nor 'no'")
