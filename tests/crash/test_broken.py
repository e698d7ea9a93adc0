"""The crash test finds out what it is for: each guard that is taken out makes an invariant fail."""

from pathlib import Path

import pytest

from tests.crash.__main__ import run
from tests.harness import LoopThread

pytestmark = pytest.mark.process


@pytest.mark.parametrize(
    ("broken", "done", "found"),
    [
        ("no-stream-gate", "reset connections to the receiver", "I4: .* came after a newer one"),
        ("mark-before-send", "kill the receiver", "I1: .* were never told"),
        ("no-fencing", "kill the receiver", "I3: .* lost their lease"),
        ("forget-transitions", "kill rules", "I1: .* acknowledged transitions are no alerts"),
    ],
)
def test_a_mesh_without_a_guard_is_found_out(
    tmp_path: Path, loop_thread: LoopThread, broken: str, done: str, found: str
) -> None:
    with pytest.raises(AssertionError, match=found):
        run(tmp_path, 2, 5, loop_thread, broken, [done])
