"""Freed memory stays with the process, so that arrays of a usual size don't cost a page fault for every 4 kB."""

import mmap
import subprocess
import sys

import pytest

PROGRAM = """
import resource, threading
import numpy as np
from monitors.mesh.memory import keep_freed_memory
keep_freed_memory()
def work():
    for _ in range(25):
        sum([np.full(65_536, place) for place in range(4)])
def count():
    work()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    work()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
thread = threading.Thread(target=count)
thread.start()
thread.join()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is told")
def test_what_was_freed_is_used_again_without_page_faults() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    pages_of_all = 100 * 65_536 * 8 // mmap.PAGESIZE
    assert int(done.stdout) < pages_of_all // 10


HOLES = """
import numpy as np, psutil
from monitors.mesh.memory import give_back_freed_memory, keep_freed_memory
keep_freed_memory()
arrays = [np.full(8_192, place) for place in range(1_000)]
kept = arrays[::20]
del arrays
before = psutil.Process().memory_info().rss
give_back_freed_memory()
print(before - psutil.Process().memory_info().rss)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc's allocator is told")
def test_holes_between_what_is_kept_are_given_back_when_asked_to() -> None:
    done = subprocess.run([sys.executable, "-c", HOLES], capture_output=True, text=True, check=True)
    assert int(done.stdout) > 900 * 8_192 * 8 * 0.9
