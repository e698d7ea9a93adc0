"""Series that have had points before they became known, as a source has them."""

from monitors.evaluator.model.reading import Aggregation
from tests.evaluator.engine.scene import Scene, at, points, series, threshold, told

COUNT = threshold(2.5, rule_id="rule_2", aggregation=Aggregation.COUNT, window=60)


def test_what_they_had_before_is_in_their_windows_and_not_evaluated() -> None:
    scene = Scene(threshold(), COUNT)
    scene.until(100)
    evaluation = scene.evaluation
    fill, keys = evaluation.meet_series([series(1, core="1")])
    assert len(keys) == 2
    evaluation.fill(fill, points([(1, 50, 20), (1, 60, 5), (1, 70, 5)]))
    evaluation.filled(fill, [False, True])
    evaluation.wake(keys)
    # The second rule counts all three; the first one knows nothing of what came before it.
    assert told(evaluation.advance(points([(1, 101, 5)]), at(101))) == [("firing", 101, "1")]


def test_they_rest_until_their_windows_are_filled() -> None:
    scene = Scene(threshold())
    scene.until(100)
    fill, keys = scene.evaluation.meet_series([series(1, core="1")])
    assert scene.feed((1, 101, 20), now=101) == []
    scene.evaluation.filled(fill, [False, True])
    scene.evaluation.wake(keys)
    assert scene.feed((1, 102, 20), now=102) == [("firing", 102, "1")]


def test_what_has_gone_meanwhile_stays_gone() -> None:
    scene = Scene(threshold())
    scene.until(100)
    fill, keys = scene.evaluation.meet_series([series(1, core="1")])
    scene.evaluation.remove_rule(threshold().key)
    scene.evaluation.filled(fill, [False, True])
    scene.evaluation.wake(keys)
    assert scene.feed((1, 102, 20), now=102) == []
