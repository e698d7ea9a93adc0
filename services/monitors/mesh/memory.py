"""Memory that is freed: kept while it is soon needed again, and given back now and then."""

import ctypes
import sys
from typing import Any

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
"""Parameters of mallopt(3)."""
MEBIBYTE = 1 << 20


def keep_freed_memory() -> None:
    """Makes glibc's allocator keep up to 64 MiB of freed memory of each arena; does nothing on another one.

    Otherwise an array of a few hundred kilobytes is given back to the kernel each time, which then clears all of its
    pages for the next one: that costs as much as what is computed in it.
    """
    library = _library()
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_THRESHOLD, 32 * MEBIBYTE)
        library.mallopt(_TRIM_THRESHOLD, 64 * MEBIBYTE)
        library.mallopt(_TOP_PAD, 16 * MEBIBYTE)


def give_back_freed_memory() -> None:
    """Gives all pages that hold nothing back to the kernel, which takes some milliseconds; the same restriction."""
    library = _library()
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)


def _library() -> Any:
    return ctypes.CDLL(None) if sys.platform == "linux" else None
