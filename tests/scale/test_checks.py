"""The simulation's own checks: each finds what it is for."""

import pytest

from monitors.rules.model.alert import SHARDS
from tests.scale.sharing import Look, check_epochs, check_sharing
from tests.scale.turns import check_turns


def look(moment: float, *held: int, saved: dict[int, int] | None = None) -> Look:
    owners = {f"e{number}": count for number, count in enumerate(held)}
    return Look(moment, frozenset(owners), owners, saved=saved or {})


def test_shares_that_even_out_in_time_are_fine_and_told_with_how_long_it_took() -> None:
    looks = [look(0, 256), look(1, 256, 0), look(4, 128, 128), look(20, 128, 128)]
    shared = check_sharing(looks, 10)
    assert (shared.changes, shared.slowest, shared.worst) == (1, 3, 1.0)


def test_who_keeps_more_than_a_share_is_found_out() -> None:
    with pytest.raises(AssertionError, match=r"S1: .* hold .*200"):
        check_sharing([look(0, 256), look(1, 256, 0), look(12, 200, SHARDS - 200)], 10)


def test_shards_that_stay_nobodys_are_found_out() -> None:
    with pytest.raises(AssertionError, match="S1"):
        check_sharing([look(0, 128, 128), look(1, 128), look(12, 128)], 10)


def test_who_comes_or_goes_has_time_anew() -> None:
    looks = [look(0, 256), look(1, 256, 0), look(9, 200, 56, 0), look(14, 90, 80, 86)]
    assert check_sharing(looks, 10).slowest == 5


def test_a_state_that_goes_back_to_an_older_epoch_is_found_out() -> None:
    check_epochs([look(0, saved={7: 3}), look(1, saved={7: 4}), look(2, saved={7: 4})])
    with pytest.raises(AssertionError, match="S2: the state of shard 7 of epoch 4 was followed by one of epoch 3"):
        check_epochs([look(0, saved={7: 4}), look(1, saved={7: 3})])


def test_a_replica_that_is_hardly_asked_is_found_out() -> None:
    assert check_turns([0, 10], [60, 50]) == [0.6, 0.4]
    with pytest.raises(AssertionError, match="S4"):
        check_turns([0, 0], [90, 10])
