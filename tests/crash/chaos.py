"""What is done to the mesh while points come: kills, stand-stills, cut and silent connections, by a seed."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

Actions = Mapping[str, Callable[[random.Random], None]]


@dataclass
class Chaos:
    """Does one of the actions after the other, with short breaks, for some seconds."""

    actions: Actions
    seed: int
    done: Counter[str] = field(default_factory=Counter)

    def run(self, seconds: float, pause: tuple[float, float] = (0.2, 1.2)) -> None:
        """Every action once, in a random order, and then any of them."""
        choice, until = random.Random(self.seed), time.monotonic() + seconds
        first = choice.sample(sorted(self.actions), len(self.actions))
        while time.monotonic() < until:
            threading.Event().wait(choice.uniform(*pause))
            name = first.pop() if first else choice.choice(sorted(self.actions))
            self.actions[name](choice)
            self.done[name] += 1


def stand_still(pid: int, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after a while: a process that doesn't know that time has passed."""
    os.kill(pid, signal.SIGSTOP)
    threading.Event().wait(seconds)
    os.kill(pid, signal.SIGCONT)
