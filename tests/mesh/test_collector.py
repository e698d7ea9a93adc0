"""The garbage collector is off while somebody paused it, and never for good."""

import gc

import pytest

from monitors.mesh import collector
from monitors.mesh.collector import collector_paused


def test_pauses_that_overlap_last_until_the_last_of_them_ends() -> None:
    first, second = collector_paused(), collector_paused()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert not gc.isenabled()
    second.__exit__(None, None, None)
    assert gc.isenabled()


def test_where_there_is_always_somebody_the_collector_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "LONGEST_SECONDS", 0.0)
    with collector_paused():
        with collector_paused():
            pass
        assert gc.isenabled()
        with collector_paused():
            assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_before_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
