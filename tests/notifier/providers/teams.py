"""Workflows of Microsoft Teams that post cards (learn.microsoft.com: incoming webhooks with Workflows; Adaptive
Cards schema 1.4; MicrosoftDocs/msteams-docs, issue 11274 on the size)."""

import base64
import json
from typing import Any

from tests.notifier.providers.strict import Provider, Refused, demand, demand_keys, demand_link, read_json
from tests.notifier.world import Received, Reply

PATH = "/workflows/0a/triggers/manual/paths/invoke"
MAX_ENCODED = 28_672
RUN_KEYS = {"type", "text", "size", "weight", "color", "fontType", "isSubtle"}
COLOURS = {"default", "dark", "light", "accent", "good", "warning", "attention"}
_LONGER = {ord(character): f"\\u{ord(character):04x}" for character in "<>&'+"}


class Teams(Provider):
    """The flow is started by anything well-formed; what goes wrong in it is seen by `failed` alone."""

    def __init__(self) -> None:
        super().__init__()
        self.cards: list[dict[str, Any]] = []
        self.failed: list[str] = []

    def take(self, received: Received) -> Reply:
        demand(received.path == PATH, json.dumps({"error": {"code": "WorkflowNotFound"}}), 404)
        envelope = read_json(received, 1_000_000)
        try:
            self._post(envelope)
        except Refused as refused:
            self.failed.append(str(refused))
        return Reply(202, body=b"")

    def _post(self, envelope: Any) -> None:
        # As .NET's serializer does by default, which is what makes it longer.
        encoded = json.dumps(envelope, separators=(",", ":")).translate(_LONGER)
        demand(len(encoded) <= MAX_ENCODED, f"{len(encoded)} bytes", 413)
        demand_keys(envelope, {"type", "summary", "attachments"}, "envelope")
        demand(envelope["type"] == "message", "type")
        (attachment,) = envelope["attachments"]
        demand(attachment["contentType"] == "application/vnd.microsoft.card.adaptive", "contentType")
        card = attachment["content"]
        demand((card["type"], card["version"] in ("1.2", "1.3", "1.4")) == ("AdaptiveCard", True), "card")
        demand("entities" not in card.get("msteams", {}), "it mentions somebody")
        demand(bool(card["body"]), "an empty card")
        for element in card["body"]:
            _check_element(element)
        for action in card.get("actions", []):
            demand_keys(action, {"type", "title", "url"}, "action")
            demand(action["type"] == "Action.OpenUrl", "action")
            demand_link(action["url"], "action")
        self.cards.append(card)


def _check_element(element: Any) -> None:
    """Foreign text stands in runs alone: a TextBlock would take it for Markdown."""
    if element["type"] == "Image":
        demand_keys(element, {"type", "url", "altText", "size"}, "image")
        kind, comma, data = element["url"].partition(",")
        demand((kind, comma) == ("data:image/png;base64", ","), "image")
        demand(bool(base64.b64decode(data, validate=True)) and bool(element["altText"]), "image")
        return
    demand_keys(element, {"type", "inlines", "spacing"}, "element")
    demand(element["type"] == "RichTextBlock" and bool(element["inlines"]), "element")
    for run in element["inlines"]:
        demand_keys(run, RUN_KEYS, "run")
        demand(run["type"] == "TextRun" and isinstance(run["text"], str), "run")
        demand(run.get("color", "default") in COLOURS, "color")
