"""Fixtures of the notifier's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import LoopThread
from tests.notifier.world import Receiver, World, running


@pytest.fixture
def world(loop_thread: LoopThread, tmp_path: Path) -> Iterator[World]:
    """A notifier that may send to this machine."""
    with running(loop_thread, tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
def shared_world(loop_thread: LoopThread, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A notifier for tests that leave it as it was."""
    with running(loop_thread, tmp_path_factory.mktemp("shared")) as opened:
        yield opened


@pytest.fixture
def receiver(loop_thread: LoopThread) -> Iterator[Receiver]:
    """An HTTP server that answers by a script."""
    with loop_thread.opened(Receiver().listening()) as listening:
        yield listening
