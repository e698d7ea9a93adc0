"""Runs checks and says what each has found."""

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
Check = Callable[[], Iterator[str]]
"""Finds what is wrong, a problem at a time. Its docstring says what is right."""


class Skipped(Exception):
    """It can't be run here; the message says why."""


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a program to its end."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=False, cwd=ROOT)


def outcome(check: Check) -> bool:
    """Runs a check and says what it has found; returns whether that's nothing."""
    began = time.monotonic()
    try:
        problems = list(check())
    except Skipped as skipped:
        state, problems = "SKIPPED", [str(skipped)]
    else:
        state = "FAILED" if problems else "ok"
    told = f"{state:<8}{(check.__doc__ or '').splitlines()[0]} ({time.monotonic() - began:.1f} s)"
    print("\n  ".join([told, *problems]), flush=True)
    return state != "FAILED"
