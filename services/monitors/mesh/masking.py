"""What is secret in memory: masked wherever it is printed, so that no message, log line or trace shows it."""

import hmac
import re

MASK = "••••••••"

# Up to the last `@`, since a password that wasn't escaped may hold one.
_CREDENTIALS = re.compile(r"([\w.+-]+://[^:@]*:)(.*)@", re.DOTALL)
# A URL whose `@` was forgotten has its password where a port belongs.
_FORGOTTEN = re.compile(r"([\w.+-]+://[^:@/?#\[]*:)(?!\d*(?:[/?#]|\Z))[^@]*\Z", re.DOTALL)
_PARAMETER = re.compile(r"([?&][^=&#]*(?:pass|secret|token|key|auth|credential|\bsig\b)[^=&#]*=)[^&#]+", re.IGNORECASE)

# What is a secret wherever it stands: an API key, a webhook's secret or address, a token of three parts, a credential.
_SECRETS = re.compile(
    r"(?P<kept>\bBearer\s+|\bBasic\s+|\balk_[a-z]+_|\bwhsec_|\beyJ|\bhooks\.slack\.com/services/|/api/webhooks/\d+/)"
    r"[\w+/=.~-]{8,}",
    re.IGNORECASE,
)
# The scheme is bounded: of a long word each letter would else be tried as its beginning, to the word's end.
_URL = re.compile(r"[a-zA-Z][\w.+-]{0,30}://[^\s'\"<>]*[^\s'\"<>,;:.)\]]")


class Secret:
    """A text that never shows itself: `repr`, `str` and formatting give a mask, only `reveal` the text."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one place that needs it."""
        return self._text

    def __repr__(self) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


class SecretUrl(str):
    """A URL that may hold a password. A library that takes it gets all of it; printed it's masked."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(masked_url(self))

    def __str__(self) -> str:
        return masked_url(self)

    def __format__(self, spec: str) -> str:
        return format(masked_url(self), spec)


def masked_url(url: str) -> str:
    """A URL as a message may show it: without its password, and without what its parameters keep secret.

    It needn't be a whole URL; where it isn't clear what is a password, rather too much is masked than too little.
    """
    # Not `url` itself, which a pattern might hand back: a part of it is always a plain text.
    text = "".join(url)
    text = _CREDENTIALS.sub(rf"\g<1>{MASK}@", text)
    text = _FORGOTTEN.sub(rf"\g<1>{MASK}", text)
    return _PARAMETER.sub(rf"\g<1>{MASK}", text)


def without_secrets(text: str) -> str:
    """A text of any kind with what looks like a secret masked: credentials, and what URLs keep."""
    if "://" in text:
        text = _URL.sub(lambda found: masked_url(found[0]), text)
    return _SECRETS.sub(lambda found: f"{found['kept']}{MASK}", text)
