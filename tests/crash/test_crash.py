"""The crash test, short: one seed over the whole mesh."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.__main__ import run
from tests.harness import LoopThread

pytestmark = pytest.mark.process


def test_nothing_is_lost_reordered_or_made_up_whatever_is_killed_frozen_or_cut_off(
    tmp_path: Path, loop_thread: LoopThread, figure: Callable[[str], None]
) -> None:
    figure(run(tmp_path, 1, 30, loop_thread))
