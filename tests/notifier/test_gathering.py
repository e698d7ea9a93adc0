"""When the delivery loop takes a step: at once for what can go, a moment later for what only has to be recorded."""

from monitors.notifier.model.gathering import BUSY_SECONDS, ENOUGH, QUIET_SECONDS, patience


def wait(ended: int, sending: int, *, come: bool = False, busy: bool = False) -> float | None:
    return patience(ended, sending, lambda: busy, has_come=come)


def test_what_comes_goes_at_once_unless_others_take_the_room() -> None:
    assert wait(0, 0, come=True) == 0
    assert wait(1, 3, come=True) == 0
    assert wait(1, ENOUGH, come=True, busy=True) == BUSY_SECONDS


def test_what_ends_alone_is_recorded_along_with_what_comes_next() -> None:
    assert wait(1, 0) == QUIET_SECONDS
    assert wait(1, 0, come=True) == 0


def test_what_has_ended_is_recorded_once_it_is_much_or_all() -> None:
    assert wait(ENOUGH - 1, 1, busy=True) == BUSY_SECONDS
    assert wait(ENOUGH, 1, busy=True) == 0
    assert wait(2, 0) == 0


def test_where_nothing_has_come_or_ended_there_is_no_step() -> None:
    assert wait(0, 5) is None
