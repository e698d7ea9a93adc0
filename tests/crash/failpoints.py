"""Points at which a process of the mesh ends itself by SIGKILL, in the middle of its work.

The product doesn't know of them: the launcher wraps its functions. The environment names a folder; a file in it with a
point's name lets the first process that comes by die there, once.
"""

import os
import signal
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any

FOLDER = "MONITORS_CRASH_FAILPOINTS"

Put = Callable[[str], None]
Reached = Callable[[tuple[Any, ...], Any], bool]
"""Whether a call is worth dying at, by its arguments and its answer."""


def arm(folder: Path, point: str) -> Path:
    """Lets the next process that comes by die there. The file is gone once one did."""
    file = folder / point
    file.touch()
    return file


def always(_: tuple[Any, ...], __: Any) -> bool:
    return True


def gives_some(_: tuple[Any, ...], answer: Any) -> bool:
    return bool(answer)


def before(owner: Any, name: str) -> Put:
    """Dies as a function is called."""

    def put(point: str) -> None:
        work = getattr(owner, name)

        @wraps(work)
        def dying(*arguments: Any, **named: Any) -> Any:
            _die_if_armed(point)
            return work(*arguments, **named)

        setattr(owner, name, dying)

    return put


def after(owner: Any, name: str, reached: Reached = always) -> Put:
    """Dies when a function has done its work and nobody knows yet."""

    def put(point: str) -> None:
        work = getattr(owner, name)

        @wraps(work)
        def dying(*arguments: Any, **named: Any) -> Any:
            answer = work(*arguments, **named)
            if reached(arguments, answer):
                _die_if_armed(point)
            return answer

        setattr(owner, name, dying)

    return put


def after_awaiting(owner: Any, name: str, reached: Reached = always) -> Put:
    """The same for a coroutine."""

    def put(point: str) -> None:
        work = getattr(owner, name)

        @wraps(work)
        async def dying(*arguments: Any, **named: Any) -> Any:
            answer = await work(*arguments, **named)
            if reached(arguments, answer):
                _die_if_armed(point)
            return answer

        setattr(owner, name, dying)

    return put


def _die_if_armed(point: str) -> None:
    try:
        (Path(os.environ[FOLDER]) / point).unlink()
    except FileNotFoundError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def put_in(points: Mapping[str, Put]) -> None:
    """Puts points where they belong."""
    for name, put in points.items():
        put(name)
