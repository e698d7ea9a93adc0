"""Waiting for what other threads and processes do."""

import threading
import time
from collections.abc import Callable
from typing import Any


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 20.0, *, every: float = 0.01) -> Any:
    """Waits until the condition gives something true and returns that; looks again every 10 ms, or as `every` says."""
    deadline = time.monotonic() + seconds
    tick = threading.Event()
    while True:
        answer = condition()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds} s in vain for {what}")
        tick.wait(every)
