"""Changes by key: who waits for one is woken by it alone, and nothing is kept of whom nobody waits for."""

from monitors.mesh.events import Watched
from tests.harness import LoopThread


def test_who_waits_for_a_key_is_woken_by_it_alone(loop_thread: LoopThread) -> None:
    async def wait() -> tuple[bool, bool, bool]:
        watched = Watched()
        with watched.of("acme") as one, watched.of("acme") as two, watched.of("globex") as other:
            events = [each.upcoming for each in (one, two, other)]
            watched.wake(["acme", "nobody"])
            return events[0].is_set(), events[1].is_set(), events[2].is_set()

    assert loop_thread.run(wait()) == (True, True, False)


def test_what_nobody_waits_for_any_more_is_forgotten(loop_thread: LoopThread) -> None:
    async def wait() -> list[list[str]]:
        watched = Watched()
        with watched.of("acme"):
            with watched.of("acme"), watched.of("globex"):
                most = watched.keys
            fewer = watched.keys
        return [most, fewer, watched.keys]

    assert loop_thread.run(wait()) == [["acme", "globex"], ["acme"], []]
