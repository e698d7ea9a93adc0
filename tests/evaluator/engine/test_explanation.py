"""Why an instance is in its state, and what happens next, in words."""

from dataclasses import replace

import pytest

from monitors.evaluator.model.bounds import Bounds, Operator, bounds
from monitors.evaluator.model.explanation import explain
from monitors.evaluator.model.reading import Aggregation, Function
from monitors.evaluator.model.series import FieldType
from monitors.evaluator.model.spec import Level, MissingPolicy, RuleKey, RuleSpec, Severity
from monitors.evaluator.model.state import Status
from monitors.evaluator.model.texts import code_of
from tests.evaluator.engine.scene import SECOND, Scene, absence, at, series, threshold

HOUR = "2023-11-14T23:"
"""In which the scene begins."""


def explained(scene: Scene, spec: RuleSpec) -> tuple[str, float | None, str]:
    (found,) = explain(scene.evaluation, spec.key)
    return found.status.name, found.value, found.text


def after(spec: RuleSpec, *rows: tuple[int, float, float], now: float) -> tuple[str, float | None, str]:
    kind = FieldType.STRING if spec.of_text else FieldType.FLOAT
    scene = Scene(spec, known=[series(0, kind=kind)])
    scene.feed(*rows, now=now)
    return explained(scene, spec)


SLOW = threshold(low=10.0, for_duration=30)
DOWN, UP = code_of("down"), code_of("up")
IS_DOWN = threshold(low=DOWN, operator=Operator.EQUAL, of_text=True, texts=("down",))
LATCHED = replace(IS_DOWN, recover=bounds(Operator.EQUAL, UP), texts=("down", "up"))
KEPT = threshold(low=10.0, keep_firing_for=60)
LEVELED = threshold(
    low=10.0,
    severity=Severity.LOW,
    levels=(Level(Severity.HIGH, bounds(Operator.GREATER, 20), bounds(Operator.LESS, 15)),),
)


@pytest.mark.parametrize(
    ("spec", "rows", "now", "expected"),
    [
        (threshold(low=10.0), [(0, 1, 5)], 2, ("INACTIVE", 5.0, "it's 5; it fires once it is > 10")),
        (SLOW, [(0, 1, 5)], 2, ("INACTIVE", 5.0, "it's 5; it fires once it is > 10 for 30s")),
        (
            SLOW, [(0, 5, 12)], 6,
            (
                "PENDING", 12.0,
                (f"it's 12, and > 10 since {HOUR}00:05Z; it fires at {HOUR}00:35Z "
                "unless that changes before"),
            ),
        ),
        (
            threshold(low=10.0), [(0, 5, 12)], 6,
            ("FIRING", 12.0, f"it fires since {HOUR}00:05Z; it's 12, and is resolved once it is not > 10 any more"),
        ),
        (
            threshold(low=10.0, recover=bounds(Operator.LESS, 7.0)), [(0, 5, 12), (0, 6, 8)], 7,
            ("FIRING", 8.0, f"it fires since {HOUR}00:05Z; it's 8, and is resolved once it is < 7"),
        ),
        (
            threshold(low=10.0, recover=Bounds(1.0, 2.0)), [(0, 5, 12)], 7,
            ("FIRING", 12.0, f"it fires since {HOUR}00:05Z; it's 12, and is resolved once it is inside 1..2"),
        ),
        (
            LEVELED, [(0, 5, 5)], 6,
            ("INACTIVE", 5.0, "it's 5; it fires once it is > 10 (low) or > 20 (high)"),
        ),
        (
            LEVELED, [(0, 5, 25), (0, 6, 17)], 7,
            (
                "FIRING", 17.0,
                f"it fires since {HOUR}00:05Z; it's 17, which is high, and is lowered or resolved once it is < 15",
            ),
        ),
        (
            LEVELED, [(0, 5, 12)], 7,
            (
                "FIRING", 12.0,
                (f"it fires since {HOUR}00:05Z; it's 12, which is low, "
                "and is lowered or resolved once it is not > 10 any more"),
            ),
        ),
        (
            replace(LEVELED, keep_firing_for=KEPT.keep_firing_for), [(0, 5, 12), (0, 8, 3)], 9,
            (
                "FIRING", 3.0,
                (f"it fires since {HOUR}00:05Z; it's 3, at no level since {HOUR}00:08Z, "
                f"and is resolved as low at {HOUR}01:08Z if so"),
            ),
        ),
        (
            KEPT, [(0, 5, 12), (0, 8, 3)], 9,
            (
                "FIRING", 3.0,
                (f"it fires since {HOUR}00:05Z; it's 3, not > 10 any more since {HOUR}00:08Z, "
                f"and is resolved at {HOUR}01:08Z if so"),
            ),
        ),
        (
            threshold(low=10.0, no_data=MissingPolicy.KEEP), [(0, 5, float("nan"))], 6,
            (
                "INACTIVE", None,
                "nothing is known: the newest value isn't a number, or too old. It fires once it is > 10",
            ),
        ),
        (
            threshold(low=10.0, window=20, no_data=MissingPolicy.KEEP, interval=5), [(0, 1, 12)], 40,
            (
                "FIRING", None,
                (f"nothing is known: the newest point is from {HOUR}00:01Z, and only those of the last 20s count. "
                f"Its state is kept as it was at {HOUR}00:25Z"),
            ),
        ),
        (
            threshold(low=10.0, function=Function.CHANGE, since=60), [(0, 1, 12)], 2,
            (
                "INACTIVE", None,
                "nothing is known: there's no value of 1m before, or it's 0. It fires once it is > 10",
            ),
        ),
        (
            threshold(low=10.0, aggregation=Aggregation.RATE), [(0, 1, 12)], 2,
            (
                "INACTIVE", None,
                "nothing is known: there are too few numbers in the last 5m. It fires once it is > 10",
            ),
        ),
        (
            absence(60), [(0, 1, 12)], 2,
            (
                "INACTIVE", None,
                (f"the newest point is from {HOUR}00:01Z; if none comes for 1m, that is until "
                f"{HOUR}01:01Z, it is true"),
            ),
        ),
        (
            absence(60), [(0, 1, 12)], 120,
            (
                "FIRING", None,
                (f"the newest point is from {HOUR}00:01Z; it fires since {HOUR}01:01Z, "
                "and is resolved with the next point"),
            ),
        ),
        (
            IS_DOWN, [(0, 1, UP)], 2,
            ("INACTIVE", None, 'it isn\'t "down"; it fires once it is == "down"'),
        ),
        (
            IS_DOWN, [(0, 5, DOWN)], 6,
            (
                "FIRING", None,
                f'it fires since {HOUR}00:05Z; it\'s "down", and is resolved once it is not == "down" any more',
            ),
        ),
        (
            LATCHED, [(0, 5, DOWN), (0, 6, code_of("starting"))], 7,
            (
                "FIRING", None,
                f'it fires since {HOUR}00:05Z; it isn\'t "down" or "up", and is resolved once it is == "up"',
            ),
        ),
        (
            replace(IS_DOWN, operator=Operator.NOT_EQUAL, for_duration=30 * SECOND), [(0, 5, UP)], 6,
            (
                "PENDING", None,
                (f'it isn\'t "down", and != "down" since {HOUR}00:05Z; it fires at {HOUR}00:35Z '
                "unless that changes before"),
            ),
        ),
        (
            absence(60), [], 2,
            ("INACTIVE", None, "no point has come yet; only what has been heard of once can fall silent"),
        ),
    ],
)  # fmt: skip
def test_an_instance_says_what_it_is_and_what_happens_next(
    spec: RuleSpec, rows: list[tuple[int, float, float]], now: float, expected: tuple[str, float | None, str]
) -> None:
    assert after(spec, *rows, now=now) == expected


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (threshold(low=10.0), "nothing is known: {}. It fires once it is > 10"),
        (absence(60), "{}; only what has been heard of once can fall silent"),
    ],
)
def test_what_is_polled_is_said_to_be_waited_for_as_long_as_no_poll_has_brought_a_point(
    spec: RuleSpec, expected: str
) -> None:
    scene = Scene(spec)
    scene.until(2)
    (found,) = explain(scene.evaluation, spec.key, is_polled=True)
    waits = f"it waits for the poll that brings its first point; what was polled is evaluated up to {HOUR}00:02Z"
    assert found.text == expected.format(waits)


def test_a_rule_whose_past_is_still_read_says_so() -> None:
    scene, spec = Scene(), threshold(low=10.0)
    scene.evaluation.put_rule(spec, at(0))
    assert explained(scene, spec)[2].startswith("nothing is known: its points from before are being read first.")


def test_what_was_heard_of_before_anything_was_read_is_not_said_to_be_of_a_time() -> None:
    scene, silent, low = Scene(), absence(60), replace(threshold(low=10.0), rule_id="rule_2")
    for spec in (silent, low):
        fill, _ = scene.evaluation.put_rule(spec, at(600))
        scene.evaluation.filled(fill, [True])
        scene.evaluation.activate([spec.key])
    scene.until(900)
    assert "the newest point is from 2023-11-14T22:54:59.999Z or before; it fires since" in explained(scene, silent)[2]
    assert "the newest point is from 2023-11-14T22:54:59.999Z or before, and only" in explained(scene, low)[2]


def test_firing_ones_come_first_and_others_can_be_left_out() -> None:
    spec = replace(threshold(low=10.0), monitor="*")
    known = [series(0, monitor="a"), series(1, monitor="b")]
    scene = Scene(spec, known=known)
    scene.feed((0, 1, 5), (1, 1, 20), now=2)
    first, second = explain(scene.evaluation, spec.key)
    assert [(one.key.monitor, one.status) for one in (first, second)] == [("b", Status.FIRING), ("a", Status.INACTIVE)]
    assert (first.since, first.time, second.since) == (at(1), at(2), None)
    (only,) = explain(scene.evaluation, spec.key, ["a"])
    assert only == second
    assert explain(scene.evaluation, spec.key._replace(rule_id="nobody")) == []


def test_the_series_that_others_outlive_is_said_to_be_missing() -> None:
    spec = threshold(low=10.0, window=10, interval=10, missing_series=MissingPolicy.RESOLVE)
    scene = Scene(spec, known=[series(0, core="0"), series(1, core="1")])
    scene.feed((0, 1, 20), now=2)
    scene.feed(*[(1, second, 5) for second in range(3, 25)], now=25)
    first, _ = explain(scene.evaluation, spec.key)
    assert first.text.endswith(f"Other series report: it is resolved at {HOUR}00:40Z unless a point comes")


def test_of_many_instances_the_first_are_explained_firing_ones_before_all_others() -> None:
    known = [series(index, host=f"h{index:03}") for index in range(150)]
    scene = Scene(threshold(), known=known)
    scene.feed(*((index, 1, 20 if index == 140 else 5) for index in range(150)), now=1)
    found = explain(scene.evaluation, RuleKey("t", "rule_1"))
    assert [one.key.tags for one in found[:2]] == [(("host", "h140"),), (("host", "h000"),)]
    assert len(found) == 100
