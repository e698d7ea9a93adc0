"""The rollout, short: one of the two pods of each service replaced under load, with other certificates after each."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import LoopThread
from tests.rolling.__main__ import run
from tests.servers.influxdb import needs_influxdb

pytestmark = pytest.mark.process


@needs_influxdb
def test_pods_are_replaced_and_nobody_notices(
    tmp_path: Path, loop_thread: LoopThread, figure: Callable[[str], None]
) -> None:
    figure(run(tmp_path, loop_thread, pods=1, pre_stop=0.5))
