"""Slack's incoming webhooks (docs.slack.dev: incoming webhooks, Block Kit reference, formatting of messages)."""

import re
from typing import Any

from tests.notifier.providers.strict import Provider, Refused, demand, demand_keys, demand_text, length, read_json
from tests.notifier.world import Received, Reply

PATH = "/services/T0/B0/token"
MAX_ALL = 13_200
"""Characters of all blocks that Slack was seen to take, whatever it documents (slackapi/bolt-js, issue 2509)."""
# What may stand in angle brackets is a link alone, since all else names somebody or something.
_MARKED = re.compile(r"<(?!https?://[^<>|]+\|[^<>]*>)")
_AMPERSAND = re.compile(r"&(?!(?:amp|lt|gt);)")


class Slack(Provider):
    """The messages that were posted."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []

    def take(self, received: Received) -> Reply:
        demand(received.path == PATH, "no_service", 404)
        message = read_json(received, 1_000_000)
        demand_keys(message, {"text", "blocks"}, "invalid_payload")
        demand_text(message.get("text"), 40_000, "no_text")
        _check_marked(message["text"])
        blocks = message.get("blocks", [])
        demand(1 <= len(blocks) <= 50, "invalid_blocks")
        texts = [_text_of(block) for block in blocks]
        demand(sum(map(length, texts)) <= MAX_ALL, "msg_blocks_too_long")
        self.messages.append(message)
        return Reply(200, body=b"ok")


def _text_of(block: Any) -> str:
    text = block["text"]
    match block["type"]:
        case "header":
            demand(text["type"] == "plain_text", "invalid_blocks: header")
            demand_text(text["text"], 150, "invalid_blocks: header")
        case "section":
            demand(text["type"] in ("mrkdwn", "plain_text"), "invalid_blocks: section")
            demand_text(text["text"], 3000, "invalid_blocks: section")
            if text["type"] == "plain_text":
                return str(text["text"])
            _check_marked(text["text"])
            demand(all(line.count("`") in (0, 2) for line in text["text"].split("\n")), "code that doesn't end")
        case other:
            raise Refused(400, f"invalid_blocks: {other}")
    found: str = text["text"]
    return found


def _check_marked(text: str) -> None:
    demand(not _MARKED.search(text), "a mark in angle brackets")
    demand(not _AMPERSAND.search(text), "an ampersand that isn't escaped")
