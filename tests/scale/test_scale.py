"""The simulation, short: everything happens to the evaluators at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import LoopThread
from tests.scale.__main__ import SLACK, all_at_once, run
from tests.servers.influxdb import needs_influxdb

pytestmark = pytest.mark.process


@needs_influxdb
def test_alerts_go_on_and_are_told_once_whichever_evaluators_die_freeze_or_are_cut_off(
    tmp_path: Path, loop_thread: LoopThread, figure: Callable[[str], None]
) -> None:
    figure(run(tmp_path, 1, loop_thread, all_at_once, slack=SLACK))
