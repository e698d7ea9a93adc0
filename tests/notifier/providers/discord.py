"""Discord's webhooks (docs.discord.com: execute webhook, embed limits, rate limits, allowed mentions)."""

import email
import email.policy
import json
import re
from datetime import datetime
from email.message import MIMEPart
from typing import Any

from tests.notifier.providers.strict import Provider, Refused, demand, demand_keys, demand_text, length, read_json
from tests.notifier.world import Received, Reply

PATH = "/api/webhooks/1234/token"
EMBED_KEYS = {"title", "description", "color", "timestamp", "fields", "footer", "url", "author", "image", "thumbnail"}
# Outside of code, what formats, links or names must be escaped.
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_OURS = re.compile(r"\*\*[A-Z][A-Za-z ]*:\*\*|<https?://[^<> ]+>")


class Discord(Provider):
    """The messages that were posted; it answers as many as are allowed, then that there are too many."""

    def __init__(self, allowed: int = 1_000_000) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self.allowed = allowed
        self.files: list[bytes] = []

    def take(self, received: Received) -> Reply:
        demand(received.path == PATH, json.dumps({"message": "Unknown Webhook", "code": 10015}), 404)
        if len(self.messages) >= self.allowed:
            said = {"message": "You are being rate limited.", "retry_after": 0.3, "global": False}
            headers = {"x-ratelimit-scope": "user", "retry-after": "1", "content-type": "application/json"}
            raise Refused(429, "rate limited", Reply(429, headers, json.dumps(said).encode()))
        message = self._read(received)
        demand_keys(message, {"content", "embeds", "allowed_mentions", "attachments"}, "message")
        demand(message.get("allowed_mentions") == {"parse": []}, "it may mention everybody")
        content, embeds = message.get("content", ""), message.get("embeds", [])
        demand(bool(content.strip() or embeds), "an empty message")
        demand_text(content, 2000, "content", least=0)
        _check_marks(content)
        demand(len(embeds) <= 10, "embeds")
        demand(sum(map(_check_embed, embeds)) <= 6000, "embeds are too large")
        self.messages.append(message)
        if received.query != "wait=true":
            return Reply(204, body=b"")
        saved = {"id": str(len(self.messages)), "type": 0, "content": content}
        return Reply(200, {"content-type": "application/json"}, json.dumps(saved).encode())

    def _read(self, received: Received) -> Any:
        """The message, whether it comes alone or with files, each of which it must name."""
        kind = received.headers.get("content-type", "")
        if not kind.startswith("multipart/form-data"):
            message = read_json(received, 25_000_000)
            demand("attachments" not in message, "attachments without files")
            return message
        demand(len(received.body) <= 10_000_000, "files", 413)
        head = f"content-type: {kind}\r\n\r\n".encode()
        form = email.message_from_bytes(head + received.body, policy=email.policy.HTTP)
        parts = {str(part.get_param("name", header="content-disposition")): part for part in form.iter_parts()}
        message = json.loads(_content(parts.pop("payload_json")))
        for attachment in message["attachments"]:
            demand_keys(attachment, {"id", "filename", "description"}, "attachment")
            demand_text(attachment["description"], 1024, "description of an attachment")
            part = parts.pop(f"files[{attachment['id']}]")
            demand(part.get_filename() == attachment["filename"], "filename")
            self.files.append(_content(part))
        demand(not parts, "files that the message doesn't name")
        names = {attachment["filename"] for attachment in message["attachments"]}
        shown = {embed["image"]["url"] for embed in message["embeds"] if "image" in embed}
        demand(shown <= {f"attachment://{name}" for name in names}, "it shows what isn't attached")
        return message


def _content(part: "MIMEPart[Any, Any]") -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def _check_embed(embed: Any) -> int:
    """How many characters count for the sum."""
    demand_keys(embed, EMBED_KEYS, "embed")
    description = embed.get("description", "")
    demand_text(description, 4096, "description")
    demand(0 <= embed["color"] <= 0xFFFFFF, "color")
    demand(datetime.fromisoformat(embed["timestamp"]).tzinfo is not None, "timestamp")
    for line in description.split("\n"):
        _check_marks(line)
    return length(description)


def _check_marks(text: str) -> None:
    bare = _CODE.sub("", _OURS.sub("", _ESCAPED.sub("", text) if "`" not in text else text))
    bare = _ESCAPED.sub("", bare)
    demand(not set(bare) & set("*_~`|>#[]<@"), f"a mark in {bare!r}")
    demand("://" not in bare, f"a link in {bare!r}")
