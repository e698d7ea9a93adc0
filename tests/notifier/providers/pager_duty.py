"""PagerDuty's Events API v2 (developer.pagerduty.com/docs/send-alert-event, /docs/events-api-v2-overview)."""

import json
from datetime import datetime
from typing import Any

from tests.notifier.providers.strict import Provider, demand, demand_keys, demand_link, demand_text, read_json
from tests.notifier.world import Received, Reply

KEY = "0123456789abcdef0123456789ABCDEF"
PATH = "/v2/enqueue"
MAX_EVENT = 512_000
EVENT_KEYS = {"routing_key", "event_action", "dedup_key", "payload", "images", "links", "client", "client_url"}
PAYLOAD_KEYS = {"summary", "source", "severity", "timestamp", "component", "group", "class", "custom_details"}


class PagerDuty(Provider):
    """Incidents by their dedup key, as the events have made them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: dict[str, str] = {}
        self.history: list[tuple[str, str]] = []
        """What became of what, in order: `triggered`, `repeated`, `acknowledged`, `resolved`, `dropped`."""
        self.payloads: list[dict[str, Any]] = []

    def take(self, received: Received) -> Reply:
        demand(received.path == PATH, "no such path", 404)
        event = read_json(received, MAX_EVENT)
        demand_keys(event, EVENT_KEYS, "event")
        demand(event.get("routing_key") == KEY, _invalid("Invalid routing key"))
        action, key = event.get("event_action"), event.get("dedup_key")
        demand_text(key, 255, "dedup_key")
        if action == "trigger":
            self._check_trigger(event)
        self.history.append((key, self._follow(action, key)))
        answer = {"status": "success", "message": "Event processed", "dedup_key": key}
        return Reply(202, body=json.dumps(answer).encode())

    def _follow(self, action: Any, key: str) -> str:
        demand(action in ("trigger", "acknowledge", "resolve"), _invalid(f"event_action: {action!r}"))
        if action == "trigger":
            became = "repeated" if key in self.open else "triggered"
            self.open.setdefault(key, became)
            return became
        if key not in self.open:
            return "dropped"
        if action == "resolve":
            del self.open[key]
            return "resolved"
        self.open[key] = "acknowledged"
        return "acknowledged"

    def _check_trigger(self, event: dict[str, Any]) -> None:
        payload = event.get("payload")
        demand_keys(payload, PAYLOAD_KEYS, "payload")
        assert isinstance(payload, dict)
        demand_text(payload.get("summary"), 1024, "summary")
        demand_text(payload.get("source"), 1024, "source")
        demand(payload.get("severity") in ("critical", "error", "warning", "info"), _invalid("severity"))
        demand(datetime.fromisoformat(payload["timestamp"]).tzinfo is not None, _invalid("timestamp"))
        demand(isinstance(payload.get("custom_details"), dict), _invalid("custom_details"))
        for link in event.get("links", []):
            demand_keys(link, {"href", "text"}, "link")
            demand_link(link["href"], "link")
        self.payloads.append(payload)


def _invalid(error: str) -> str:
    return json.dumps({"status": "invalid event", "message": "Event object is invalid", "errors": [error]})
