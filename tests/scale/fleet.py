"""The evaluators: processes, each with its own ways to the RuleServices, that can be killed, frozen and cut off."""

import os
import random
import signal
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.crash.proxy import FaultProxy, started
from tests.harness import LoopThread
from tests.served import ServedProcess, free_port

AT_ONCE = 2


@dataclass
class Member:
    """An evaluator. `ways` lead to one RuleService each."""

    name: str
    process: ServedProcess
    ways: Sequence[FaultProxy]


@dataclass
class Fleet:
    """All evaluators. Those that something is being done to are `away`, the others `well`."""

    loop: LoopThread
    rules_ports: Sequence[int]
    environment: Callable[[str], Mapping[str, str]]
    """By the evaluator's name, all that doesn't follow from where it is and whom it asks."""
    command: Sequence[str]
    well: list[Member] = field(default_factory=list)
    away: list[Member] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    """What those wrote that have ended."""
    _made: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _waking: list[threading.Thread] = field(default_factory=list)

    def join(self, count: int = 1) -> None:
        """New ones, which are there when they listen; as many start at once as a small machine has cores."""
        made = [self._make() for _ in range(count)]
        with self._lock:
            self.away += made
        for some in (made[start : start + AT_ONCE] for start in range(0, count, AT_ONCE)):
            for member in some:
                member.process.launch()
            for member in some:
                member.process.wait_until_ready()
                self._back(member)

    def leave(self, choice: random.Random) -> None:
        """SIGTERM: one gives back what it has and ends."""
        member = self._take(choice)
        assert member.process.end() == 0, member.process.text
        self._bury(member)

    def kill(self, choice: random.Random) -> None:
        """SIGKILL of one, which doesn't come back."""
        member = self._take(choice)
        member.process.end(signal.SIGKILL)
        self._bury(member)

    def freeze(self, choice: random.Random, seconds: float) -> None:
        """SIGSTOP of one, which goes on after that many seconds as if nothing had been. Returns at once."""
        member = self._take(choice)
        os.kill(member.process.pid, signal.SIGSTOP)
        self._later(seconds, member, lambda: os.kill(member.process.pid, signal.SIGCONT))

    def cut_off(self, choice: random.Random, seconds: float) -> None:
        """Nothing comes through between one and any RuleService, and neither is told. After that many seconds what was
        held back goes on its way, late, or the connections are reset, as chance will have it. Returns at once."""
        member, is_reset = self._take(choice), choice.random() < 0.5
        self._on_loop(*(way.freeze for way in member.ways))

        def reconnect() -> None:
            if is_reset:
                self._on_loop(*(way.reset for way in member.ways))
            self._on_loop(*(way.thaw for way in member.ways))

        self._later(seconds, member, reconnect)

    def wait_until_all_are_back(self) -> None:
        """Waits for those that are frozen or cut off."""
        for thread in self._waking:
            thread.join(60)
            assert not thread.is_alive()
        self._waking.clear()

    def end(self) -> None:
        """Ends all."""
        self.wait_until_all_are_back()
        for member in [*self.well, *self.away]:
            member.process.end()
            self._bury(member)
        self.well.clear()
        self.away.clear()

    @property
    def text(self) -> str:
        """All that they have written."""
        return "".join([*self.logs, *(member.process.text for member in [*self.well, *self.away])])

    def _make(self) -> Member:
        self._made += 1
        name, port = f"evaluator-{self._made}", free_port()
        ways = [FaultProxy(port) for port in self.rules_ports]
        self.loop.run(started(*ways))
        environment = {
            **self.environment(name),
            "MONITORS_RULES_ADDRESS": "ipv4:" + ",".join(f"127.0.0.1:{way.port}" for way in ways),
            "MONITORS_EVALUATOR_ADDRESS": f"127.0.0.1:{port}",
        }
        return Member(name, ServedProcess("evaluator", port, environment, self.command), ways)

    def _take(self, choice: random.Random) -> Member:
        with self._lock:
            member = choice.choice(self.well)
            self.well.remove(member)
            self.away.append(member)
        return member

    def _back(self, member: Member) -> None:
        with self._lock:
            self.away.remove(member)
            self.well.append(member)

    def _bury(self, member: Member) -> None:
        self.logs.append(member.process.text)
        for way in member.ways:
            self.loop.run(way.stop())
        with self._lock:
            if member in self.away:
                self.away.remove(member)

    def _later(self, seconds: float, member: Member, work: Callable[[], None]) -> None:
        def do() -> None:
            threading.Event().wait(seconds)
            work()
            self._back(member)

        thread = threading.Thread(target=do, daemon=True)
        self._waking.append(thread)
        thread.start()

    def _on_loop(self, *works: Callable[[], None]) -> None:
        async def do() -> None:
            for work in works:
                work()

        self.loop.run(do())
