"""The garbage collector, kept out of the way while a great many objects are made that will all stay."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """No automatic collections inside: among a million new objects each would look at all of them and find nothing."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@contextmanager
def made_to_stay() -> Iterator[None]:
    """The same, and what was made isn't looked at later either: for what is loaded once and kept until the end."""
    with collector_paused():
        yield
        gc.freeze()
