"""Up to when a source's points count as complete, while it answers, while it's away, and after that."""

from hypothesis import given
from hypothesis import strategies as st

from monitors.evaluator.model.horizon import Horizon, Stretch
from monitors.evaluator.model.series import Arrival
from monitors.mesh.times import HOUR, MINUTE, SECOND
from tests.evaluator.engine.scene import at

ALLOWANCE = 30 * SECOND


def horizon(complete_to: float = 0) -> Horizon:
    return Horizon(at(complete_to), ALLOWANCE)


def stretches(of: Horizon, start: float, end: float, look_back: int = 5 * MINUTE) -> list[tuple[float, float, Arrival]]:
    found = list(of.stretches(at(start), at(end), look_back))
    return [((one.start - at(0)) / SECOND, (one.end - at(0)) / SECOND, one.arrival) for one in found]


def test_points_have_the_allowance_to_come() -> None:
    one = horizon()
    one.answered(at(100))
    assert one.reach(at(100)) == at(70)


def test_it_keeps_up_while_it_is_no_further_behind_than_is_usual() -> None:
    one = horizon(70)
    assert one.keeps_up(at(100), 0)
    assert not one.keeps_up(at(101), 0)
    assert one.keeps_up(at(110), 10 * SECOND)


def test_it_keeps_up_again_once_an_outage_has_been_dealt_with() -> None:
    one = horizon(70)
    one.answered(at(100))
    one.failed()
    assert not one.keeps_up(at(101), MINUTE)
    one.answered(at(110))
    assert not one.keeps_up(at(111), MINUTE)
    one.complete_to = at(110)
    assert one.keeps_up(at(141), MINUTE)


def test_it_never_goes_back() -> None:
    one = horizon(90)
    assert one.reach(at(100)) == at(90)


def test_while_the_source_is_away_time_comes_to_where_it_answered_last() -> None:
    one = horizon()
    one.answered(at(100))
    one.failed()
    one.failed()
    assert one.away_since == at(100)
    assert one.reach(at(110)) == at(80)
    assert one.reach(at(500)) == at(100)


def test_once_it_is_back_its_writers_have_the_allowance_for_what_they_kept() -> None:
    one = horizon()
    one.answered(at(100))
    one.failed()
    one.answered(at(500))
    assert one.away_since is None
    assert one.reach(at(529)) == at(100)
    assert one.reach(at(530)) == at(500)
    assert stretches(one, 80, 500) == [(80, 100, Arrival.POLLED), (100, 500, Arrival.AFTER_OUTAGE)]


def test_when_it_goes_again_before_they_had_it_that_is_one_outage() -> None:
    one = horizon()
    one.answered(at(100))
    one.failed()
    one.answered(at(500))
    one.failed()
    one.answered(at(600))
    assert one.reach(at(629)) == at(100)
    assert stretches(one, 100, 630) == [(100, 600, Arrival.AFTER_OUTAGE), (600, 630, Arrival.POLLED)]


def test_a_source_that_is_away_from_the_start_on_was_so_since_what_is_known() -> None:
    one = horizon(50)
    one.failed()
    one.answered(at(100))
    assert stretches(one, 50, 130) == [(50, 100, Arrival.AFTER_OUTAGE), (100, 130, Arrival.POLLED)]


def test_what_is_more_than_an_hour_ago_is_skipped_but_for_what_windows_look_back_to() -> None:
    one = horizon()
    assert stretches(one, 0, 7200) == [(3300, 3600, Arrival.SKIPPED), (3600, 7200, Arrival.POLLED)]
    assert stretches(one, 3500, 7200) == [(3500, 3600, Arrival.SKIPPED), (3600, 7200, Arrival.POLLED)]
    assert stretches(one, 3600, 7200) == [(3600, 7200, Arrival.POLLED)]


def test_outages_are_forgotten_once_nobody_catches_up_with_them() -> None:
    one = horizon()
    one.answered(at(100))
    one.failed()
    one.answered(at(200))
    one.complete_to = at(200) + HOUR
    one.answered(at(4000))
    assert stretches(one, 0, 300) == [(0, 300, Arrival.POLLED)]


@given(st.lists(st.tuples(st.integers(1, 400), st.booleans()), max_size=30), st.integers(0, 3600))
def test_stretches_are_the_whole_time_and_no_outage_is_left_out_or_cut(
    questions: list[tuple[int, bool]], start: int
) -> None:
    one, now = horizon(), 0
    for pause, answers in questions:
        now += pause
        reach = one.reach(at(now))
        if answers:
            one.answered(at(now))
            one.complete_to = reach
        else:
            one.failed()
    end = one.complete_to
    found = list(one.stretches(at(start), end, HOUR))
    assert [a.end for a in found[:-1]] == [b.start for b in found[1:]]
    if at(start) < end:
        assert found[-1].end == end
        assert found[0].start == max(at(start), end - 2 * HOUR)
    assert all(one.start < one.end for one in found)
    # Where everything has been read, there is nothing that the source's writers may still have.
    assert not any(stretch.end == end and _is_cut(one, stretch) for stretch in found)


def _is_cut(of: Horizon, stretch: Stretch) -> bool:
    return stretch.arrival is Arrival.AFTER_OUTAGE and list(of.stretches(stretch.end, stretch.end + 1, 0)) != [
        Stretch(stretch.end, stretch.end + 1, Arrival.POLLED)
    ]
