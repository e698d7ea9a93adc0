"""A notifier that ends while it sends."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitors.notifier.delivery import Dispatcher
from monitors.v1.notification_pb2 import DELIVERY_OUTCOME_OK
from tests.harness import LoopThread
from tests.notifier.test_delivery import make_webhook, outcomes
from tests.notifier.world import PATIENCE, Receiver, Reply, notification, running

ANSWER_SECONDS = 0.5
"""How long a receiver goes on with a request after the notifier has begun to end."""


@contextmanager
def sending(loop_thread: LoopThread, receiver: Receiver, tmp_path: Path) -> Iterator[None]:
    """A notifier that is in the middle of sending something when it ends, which is answered meanwhile."""
    receiver.script = [Reply(hold=True)]
    with running(loop_thread, tmp_path, stop_seconds=PATIENCE) as world:
        make_webhook(world, receiver)
        world.rules.on_leaving = lambda: loop_thread.later(ANSWER_SECONDS, receiver.released.set)
        world.tell(notification("ntf_1"))
        receiver.received.wait(lambda received: len(received) == 1)
        yield


def test_what_is_being_sent_is_sent_to_its_end_and_never_again(
    loop_thread: LoopThread, receiver: Receiver, tmp_path: Path
) -> None:
    with sending(loop_thread, receiver, tmp_path):
        pass
    with running(loop_thread, tmp_path) as world:
        assert outcomes(world, "ntf_1") == [DELIVERY_OUTCOME_OK]
        world.tell(notification("ntf_2"))
        received = receiver.received.wait(lambda received: len(received) > 1)
    assert [one.headers["webhook-id"].partition("_chan")[0] for one in received] == ["ntf_1", "ntf_2"]


def test_while_it_waits_for_that_it_does_nothing_again_and_again(
    loop_thread: LoopThread, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    is_done = Dispatcher._is_done

    def noted(dispatcher: Dispatcher) -> bool:
        looks.append(1)
        return is_done(dispatcher)

    with sending(loop_thread, receiver, tmp_path):
        monkeypatch.setattr(Dispatcher, "_is_done", noted)
    assert len(looks) < 20
