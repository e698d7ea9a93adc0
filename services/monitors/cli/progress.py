"""A sign of life on stderr for whatever takes longer than a second."""

import sys
from concurrent.futures import Future
from typing import TypeVar

import grpc

T = TypeVar("T")

PATIENCE_SECONDS = 1.0


def result_of(future: Future[T], what: str) -> T:
    """Waits for the result; after a second a person at a terminal sees that it's being waited for, and why."""
    try:
        return future.result(PATIENCE_SECONDS)
    except (TimeoutError, grpc.FutureTimeoutError):
        if not sys.stderr.isatty():
            return future.result()
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True).status(Text(f"{what} …")):
        return future.result()
