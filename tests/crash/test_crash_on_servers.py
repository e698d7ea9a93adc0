"""The crash test on MariaDB and Redis, which are killed, frozen and wiped as well."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.__main__ import run
from tests.crash.backends import NO_SYNC, backends
from tests.harness import LoopThread

pytestmark = pytest.mark.process


def test_nothing_is_lost_reordered_or_made_up_when_servers_are_killed_too(
    tmp_path: Path, loop_thread: LoopThread, figure: Callable[[str], None]
) -> None:
    with backends() as servers:
        figure("MariaDB and Redis: " + run(tmp_path, 1, 20, loop_thread, servers=servers))


def test_a_database_that_answers_before_it_has_synced_is_found_out(tmp_path: Path, loop_thread: LoopThread) -> None:
    with backends(NO_SYNC) as servers, pytest.raises(AssertionError, match=r"I1: .*acknowledged"):
        run(tmp_path, 2, 6, loop_thread, only=["kill MariaDB"], servers=servers)
