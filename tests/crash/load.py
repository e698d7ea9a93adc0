"""Points that go up and down, of two tenants, and which alerts must come of those that were accepted."""

import random
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException

from google.protobuf.duration_pb2 import Duration

from monitors.v1.rule_pb2 import SEVERITY_CRITICAL, Rule

LOW, HIGH = 1.0, 50.0
PROBE = "probe"

Transition = tuple[str, str, str, int]
"""Tenant, monitor, `firing` or `resolved`, and when, in nanoseconds since 1970."""


Write = Callable[[str, str], None]
"""Writes a tenant's lines of line protocol, and returns when they are acknowledged."""


@dataclass
class Load:
    """Writes until it's told to stop."""

    write: Write
    tenants: Sequence[str]
    monitors: int
    seed: int
    rate: float = 20.0
    """Batches a second, of a `share` of a tenant's monitors each."""
    share: float = 0.25
    apart: bool = False
    """Whether no two tenants have monitors of the same name, so that they may as well be parts of one."""
    expected: list[Transition] = field(default_factory=list)
    """What must be told, by what was acknowledged: each point is on the other side of the threshold than the last."""
    _level: dict[tuple[str, str], float] = field(default_factory=dict)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def names(self, tenant: str) -> list[str]:
        """A tenant's monitors, without the probe."""
        return [self._name(tenant, f"mon{number}") for number in range(self.monitors)]

    def probe(self, tenant: str) -> str:
        """The monitor that shows when a tenant's rules are in force."""
        return self._name(tenant, PROBE)

    def _name(self, tenant: str, name: str) -> str:
        return f"{tenant}-{name}" if self.apart else name

    def write_all(self, value: float = LOW) -> None:
        """One point of each monitor of each tenant."""
        for tenant in self.tenants:
            self._write(tenant, [(name, time.time_ns(), value) for name in [*self.names(tenant), self.probe(tenant)]])

    def write_probe(self) -> None:
        """One high point of the last tenant's probe."""
        tenant = self.tenants[-1]
        self._write(tenant, [(self.probe(tenant), time.time_ns(), HIGH)])

    def start(self) -> None:
        """Begins, or goes on, with a thread for each tenant."""
        self._stop.clear()
        choices = {tenant: random.Random(f"{self.seed}/{tenant}/{len(self.expected)}") for tenant in self.tenants}
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
            chosen = choice.sample(self.names(tenant), max(1, int(self.monitors * self.share)))
            # Times of their own, so that no two transitions of an instance fall together.
            rows = [(name, time.time_ns() + number, self._other(tenant, name)) for number, name in enumerate(chosen)]
            self._write(tenant, rows)
            for name, when, value in rows:
                self._level[tenant, name] = value
                self.expected.append((tenant, name, "firing" if value == HIGH else "resolved", when))

    def _other(self, tenant: str, name: str) -> float:
        return LOW if self._level.get((tenant, name), LOW) == HIGH else HIGH

    def _write(self, tenant: str, rows: list[tuple[str, int, float]]) -> None:
        self.write(tenant, "\n".join(f"m,monitor_id={name} v={value} {when}" for name, when, value in rows))


def to_the_mesh(
    address: Callable[[], str], keys: Mapping[str, str], refused: Callable[[str], None] = lambda _: None
) -> Write:
    """Writes to an evaluator. A batch that isn't acknowledged is written again, the same, until it is; `refused` hears
    why."""

    def write(tenant: str, lines: str) -> None:
        while True:
            request = urllib.request.Request(
                f"http://{address()}/api/v2/write?org=o&bucket=b", data=lines.encode(),
                headers={"Authorization": f"Token {keys[tenant]}"},
            )  # fmt: skip
            try:
                with urllib.request.urlopen(request, timeout=5):
                    return
            except urllib.error.HTTPError as error:
                answer = f"{error.code} {error.read().decode(errors='replace')}"
                # Credentials can't be checked while RuleService is away.
                if error.code < 500 and error.code not in (401, 429):
                    raise AssertionError(answer) from error
                refused(answer)
            except (OSError, HTTPException) as error:
                refused(repr(error))
            threading.Event().wait(0.05)

    return write


def rule_on(monitor: str, channel: str = "ops") -> Rule:
    """What makes an alert of each point that is high, told at once."""
    return Rule(
        monitor_id=monitor, title=f"{monitor} is high", condition_text="v > 10", severity=SEVERITY_CRITICAL,
        notify=[channel], interval=Duration(seconds=1), cooldown=Duration(seconds=0),
    )  # fmt: skip
