"""The spans of a process, if they are wanted. Only then is loaded what makes and exports them."""

from collections.abc import Iterator
from contextlib import contextmanager

from monitors.mesh.config import TracingSettings
from monitors.mesh.spans import is_traced


@contextmanager
def tracing(settings: TracingSettings | None, service: str) -> Iterator[None]:
    """Exports spans for as long as the context is open, unless whoever runs the process does so already."""
    if settings is None or is_traced():
        yield
        return
    from monitors.mesh.exporting import exported

    with exported(settings, service):
        yield
