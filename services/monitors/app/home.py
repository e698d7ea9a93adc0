"""The folder that holds everything of an embedded mesh, for one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class HomeUnusable(Exception):
    """The folder can't be used. The message names it and the fix."""


@contextmanager
def held_home(home: Path, *, shared: bool = False) -> Iterator[None]:
    """Makes the folder (mode 0700) and holds its lock, alone or with others that share it. Raises HomeUnusable if
    another process has it otherwise."""
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
        (home / "run").mkdir(exist_ok=True, mode=0o700)
        lock = os.open(home / "run" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeUnusable(
            f"{home} can't be used ({error.strerror}); make it writable or choose another folder with MONITORS_HOME"
        ) from error
    try:
        try:
            fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            raise HomeUnusable(
                f"{home} is in use by another `monitors up` or `serve`; stop that one or choose another folder with "
                "MONITORS_HOME"
            ) from error
        yield
    finally:
        os.close(lock)
