"""Claude: one tenant's user behind a bridge that is killed as well, who asks again until there is an answer."""

import json
import random
import signal
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from typing import Any

from tests.bridge.conftest import HttpBridge
from tests.bridge.raw import http_call
from tests.crash.load import PROBE
from tests.crash.operators import Change

PAUSE_SECONDS = 0.3


@dataclass
class Claude:
    """Makes rules, changes them and acknowledges alerts, for one tenant."""

    tenant: str
    environment: Callable[[], Mapping[str, str]]
    """Where the bridge finds the mesh."""
    prefix = "claude "
    """Of its rules' titles."""
    changed: list[Change] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    """Of the rules that it was told it has."""
    written: list[str] = field(default_factory=list)
    """What bridges wrote that have ended."""
    _bridge: HttpBridge | None = None
    _fault: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _numbers: "count[int]" = field(default_factory=count)
    _refusal: str = ""

    def open(self) -> None:
        """Starts the bridge."""
        self._bridge = HttpBridge(**self.environment())

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Ends the bridge."""
        if self._bridge:
            bridge, self._bridge = self._bridge, None
            self.written.append(bridge.output)
            bridge.close(number)

    def kill_and_open(self, _: random.Random) -> None:
        """SIGKILL of the bridge, and a new one."""
        self.kill()
        self.open()

    def start(self) -> None:
        """Begins, or goes on."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends when what was asked for is answered. Raises what went wrong."""
        self._stop.set()
        assert self._thread is not None
        self._thread.join(120)
        assert not self._thread.is_alive(), f"Claude was refused again and again: {self._refusal}"
        for fault in self._fault:
            raise fault

    def _run(self) -> None:
        try:
            while not self._stop.wait(PAUSE_SECONDS):
                self._have_a_conversation(next(self._numbers))
        except BaseException as error:
            self._fault.append(error)

    def _have_a_conversation(self, number: int) -> None:
        title = f"{self.prefix}{number}"
        made = self._ask("create_alert_rule", {"monitor": PROBE, "title": title, "condition": "v > 2000"})
        self.titles.append(title)
        rule = made["rule"]["id"]
        self._ask("update_alert_rule", {"rule_id": rule, "severity": "low"})
        self.changed.append((self.tenant, "UpdateRule", rule))
        listed = self._ask("list_alerts", {"state": "unacknowledged", "limit": 1})
        for alert in listed["alerts"]:
            self._ask("acknowledge_alert", {"alert_id": [alert["id"]], "note": "seen"})
            self.changed.append((self.tenant, "AcknowledgeAlerts", alert["id"]))

    def _ask(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        """What a tool answers, once it does."""
        while True:
            # Between two bridges there is none.
            with suppress(OSError, HTTPException, StopIteration, AttributeError):
                answer = http_call(self._bridge.url, tool, json.dumps(arguments))  # type: ignore[union-attr]
                if not answer.get("isError"):
                    return answer["structuredContent"]
                self._refusal = answer["content"][0]["text"]
                assert "there is no" not in self._refusal, f"I1: what was acknowledged is gone: {self._refusal}"
            threading.Event().wait(0.1)
