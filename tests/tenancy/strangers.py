"""Somebody who never was, to compare with another tenant: whoever asks must be told the same of both."""

import re
import secrets

from monitors.mesh.identity import new_api_key
from tests.tenancy.requests import Place
from tests.tenancy.world import Outcome, Tenant

VOLATILE = re.compile(
    r'(seconds|nanos|times|status|attempt_count): -?\d+|"(rule|alert|chan|key|alk|audit|whsec|test)_[^"]*"'
    r'|"(sil|mute|route|inh|esc)_[^"]*"'
    r"|only the last [^ ]* were"
    r'|(etag|url|secret_fingerprint|fingerprint|next_page_token|detail): "[^"]*"'
)
# Not told where it's 0; alerts begin and end meanwhile.
COUNT = re.compile(r"\s*open_alert_count: \d+")


class Stranger:
    """For each text that only tenant b has, one as long that nobody has."""

    def __init__(self, b: Tenant) -> None:
        texts = [b.canary.removeprefix("c"), *(text.partition("_")[2] for text in b.ids.values())]
        self._instead = {text: like(text) for text in texts if len(text) > 4} | {"tenant-b": "tenant-z"}

    def instead_of(self, place: Place, value: str) -> str:
        """What a field holds that names nothing of anybody."""
        if place.path[-1] == "credential":
            return new_api_key().text
        if place.path[-1] == "etag":
            return "8" * len(value)
        return self.replaced(value)

    def replaced(self, text: str) -> str:
        """A text in which all that b has is the stranger's."""
        return self._replaced(text.encode()).decode()

    def _replaced(self, text: bytes) -> bytes:
        for own, other in self._instead.items():
            text = text.replace(own.encode(), other.encode())
        return text

    def seen(self, outcome: Outcome, value: str = "") -> tuple[object, ...]:
        """All that is told, as if b were the stranger; of answers less what differs from call to call."""

        def told(text: bytes) -> bytes:
            # An etag is too short to be found just anywhere.
            sent = re.compile(rf"(sent \\?')({re.escape(value)})(\\?')".encode())
            quoted = sent.sub(lambda found: found[1] + b"8" * len(found[2]) + found[3], text) if value else text
            return self._replaced(quoted)

        responses = []
        for message in outcome.responses:
            shown = type(message).FromString(message.SerializeToString())
            if "previous" in shown.DESCRIPTOR.fields_by_name:
                shown.ClearField("previous")
            responses.append(VOLATILE.sub("?", COUNT.sub("", told(str(shown).encode()).decode())))
        metadata = tuple((key, told(text)) for key, text in outcome.metadata)
        return outcome.code, told(outcome.details.encode()), metadata, responses


def like(text: str) -> str:
    """A text of the same form, whose letters and digits are such that no canary has."""
    return "".join(secrets.choice("678") if each.isalnum() else each for each in text)
