"""SendGrid's Mail Send, v3 (twilio.com/docs/sendgrid/api-reference/mail-send, .../limitations, .../errors)."""

import base64
import json
import time
from typing import Any

from tests.notifier.providers.strict import Provider, Refused, demand, demand_keys, demand_text, read_json
from tests.notifier.world import Received, Reply

KEY = "SG.canary"
SENDER = "alerts@example.org"
PATH = "/v3/mail/send"
KEYS = {"personalizations", "from", "subject", "content", "headers", "custom_args", "tracking_settings", "attachments"}
RESERVED = {
    "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding", "to", "from",
    "subject", "reply-to", "cc", "bcc",
}  # fmt: skip


class SendGrid(Provider):
    """The mails that were queued; to `bounced` addresses nothing is sent, which the answer doesn't say."""

    def __init__(self, bounced: frozenset[str] = frozenset(), allowed: int = 1_000_000) -> None:
        super().__init__()
        self.queued: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.bounced = bounced
        self.allowed = allowed

    def take(self, received: Received) -> Reply:
        demand(received.path == PATH, _errors("not found"), 404)
        demand(received.headers.get("authorization") == f"Bearer {KEY}", _errors("authorization required"), 401)
        if len(self.queued) >= self.allowed:
            reset = str(int(time.time()) + 120)
            headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": reset}
            raise Refused(429, "too many", Reply(429, headers, _errors("too many requests").encode()))
        mail = read_json(received, 30_000_000)
        demand_keys(mail, KEYS, "mail")
        demand_keys(mail.get("from"), {"email", "name"}, "from")
        demand(mail["from"]["email"] == SENDER, _errors("not a verified Sender Identity"), 403)
        demand_text(mail.get("subject"), 998, "subject")
        self._check_content(mail)
        personalizations = mail["personalizations"]
        demand(1 <= len(personalizations) <= 1000, "personalizations")
        for one in personalizations:
            demand_keys(one, {"to", "headers"}, "personalization")
            self._check_headers(one)
        addresses = [one["email"] for personalization in personalizations for one in personalization["to"]]
        demand(1 <= len(addresses) <= 1000, "to")
        demand(len({address.lower() for address in addresses}) == len(addresses), _errors("an address twice"))
        self.queued.append(mail)
        self.sent += [address for address in addresses if address not in self.bounced]
        return Reply(202, {"x-message-id": f"id-{len(self.queued)}"}, b"")

    def _check_content(self, mail: dict[str, Any]) -> None:
        demand([one["type"] for one in mail["content"]] == ["text/plain", "text/html"], "content")
        for one in mail["content"]:
            demand_text(one["value"], 30_000_000, "content")
        self._check_headers(mail)
        for attachment in mail.get("attachments", []):
            demand_keys(attachment, {"content", "type", "filename", "disposition", "content_id"}, "attachment")
            demand(bool(base64.b64decode(attachment["content"], validate=True)), "attachment")
            demand(f"cid:{attachment['content_id']}" in mail["content"][1]["value"], "it shows what isn't attached")
        demand(len(json.dumps(mail.get("custom_args", {}))) < 10_000, "custom_args")
        demand(all(isinstance(value, str) for value in mail.get("custom_args", {}).values()), "custom_args")

    def _check_headers(self, holder: dict[str, Any]) -> None:
        for header, value in holder.get("headers", {}).items():
            demand(header.lower() not in RESERVED, _errors(f"{header} is reserved"))
            demand(isinstance(value, str) and value.isascii() and "\n" not in value, f"header {header}")


def _errors(message: str) -> str:
    return json.dumps({"errors": [{"message": message, "field": None, "help": None}]})
