"""Points that go up and down, of two tenants, and which alerts must come of those that were accepted."""

import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException

LOW, HIGH = 1.0, 50.0
PROBE = "probe"

Transition = tuple[str, str, str, int]
"""Tenant, monitor, `firing` or `resolved`, and when, in nanoseconds since 1970."""


@dataclass
class Load:
    """Writes until it's told to stop. A batch that isn't acknowledged is written again, the same, until it is."""

    address: Callable[[], str]
    keys: dict[str, str]
    monitors: int
    seed: int
    rate: float = 20.0
    """Batches a second, of a quarter of a tenant's monitors each."""
    expected: list[Transition] = field(default_factory=list)
    """What must be told, by what was acknowledged: each point is on the other side of the threshold than the last."""
    _level: dict[tuple[str, str], float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def names(self) -> list[str]:
        """A tenant's monitors; all tenants have the same names."""
        return [f"mon{number}" for number in range(self.monitors)]

    def write_all(self, value: float = LOW) -> None:
        """One point of each monitor of each tenant."""
        for tenant in self.keys:
            self._write(tenant, [(name, time.time_ns(), value) for name in [*self.names(), PROBE]])

    def write_probe(self) -> None:
        """One high point of the monitor that shows when rules are in force."""
        self._write(list(self.keys)[-1], [(PROBE, time.time_ns(), HIGH)])

    def start(self) -> None:
        """Begins, or goes on, with a thread for each tenant."""
        self._stop.clear()
        choices = {tenant: random.Random(f"{self.seed}/{tenant}/{len(self.expected)}") for tenant in self.keys}
        self._threads = [threading.Thread(target=self._run, args=each, daemon=True) for each in choices.items()]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends when what is being written is acknowledged."""
        self._stop.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a batch was never acknowledged"

    def _run(self, tenant: str, choice: random.Random) -> None:
        while not self._stop.wait(1 / self.rate):
            chosen = choice.sample(self.names(), max(1, self.monitors // 4))
            # Times of their own, so that no two transitions of an instance fall together.
            rows = [(name, time.time_ns() + number, self._other(tenant, name)) for number, name in enumerate(chosen)]
            self._write(tenant, rows)
            for name, when, value in rows:
                self._level[tenant, name] = value
                self.expected.append((tenant, name, "firing" if value == HIGH else "resolved", when))

    def _other(self, tenant: str, name: str) -> float:
        return LOW if self._level.get((tenant, name), LOW) == HIGH else HIGH

    def _write(self, tenant: str, rows: list[tuple[str, int, float]]) -> None:
        body = "\n".join(f"m,monitor_id={name} v={value} {when}" for name, when, value in rows).encode()
        while True:
            request = urllib.request.Request(
                f"http://{self.address()}/api/v2/write?org=o&bucket=b", data=body,
                headers={"Authorization": f"Token {self.keys[tenant]}"},
            )  # fmt: skip
            with suppress(OSError, HTTPException):
                try:
                    with urllib.request.urlopen(request, timeout=5):
                        return
                except urllib.error.HTTPError as error:
                    # Credentials can't be checked while RuleService is away.
                    if error.code < 500 and error.code not in (401, 429):
                        raise AssertionError(error.read()) from error
            threading.Event().wait(0.05)
