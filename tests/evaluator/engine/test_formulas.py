"""What conditions of several inputs mean, as people write them."""

from typing import Any

import pytest

from monitors.evaluator.model.evaluation import AMPLE, Capacity, Evaluation
from monitors.evaluator.model.explanation import explain
from monitors.evaluator.model.instances import Limits
from monitors.evaluator.model.series import FieldType, Series
from monitors.evaluator.model.spec import RuleKey, RuleSpec
from monitors.evaluator.model.state import Status
from monitors.evaluator.model.texts import code_of
from monitors.evaluator.translate import to_spec
from monitors.mesh.times import to_duration, to_timestamp
from monitors.rules.conditions.parse import parse_condition
from monitors.rules.translate.conditions import condition_to_proto
from monitors.v1 import mesh_pb2, rule_pb2
from tests.evaluator.engine.scene import SECOND, START, Scene, at, points, series


def rule(text: str, **settings: Any) -> RuleSpec:
    """A rule on monitor `m`, evaluated at every point and every ten seconds."""
    message = rule_pb2.Rule(
        id="rule_1",
        monitor_id="m",
        condition=condition_to_proto(parse_condition(text, "condition").condition),
        interval=to_duration(10 * SECOND),
        **settings,
    )
    return to_spec(mesh_pb2.WatchedRule(tenant_id="t", rule=message))


def web(*hosts: str) -> list[Series]:
    """`requests` and `errors` of each of some hosts."""
    fields = [(host, field) for host in hosts for field in ("requests", "errors")]
    return [series(index, measurement="web", field=field, host=host) for index, (host, field) in enumerate(fields)]


def test_a_ratio_is_computed_for_each_host() -> None:
    scene = Scene(rule("errors / requests > 0.05"), known=web("a", "b"))
    assert scene.feed((0, 1, 100), (1, 1, 6), (2, 1, 100), (3, 1, 5), now=1) == [("firing", 1, "a")]
    assert scene.feed((1, 2, 5), now=2) == [("condition", 2, "a")]


def test_a_ratio_of_groups_sums_before_it_divides() -> None:
    known = [series(i, field=f, host=h, code=c) for i, (f, h, c) in enumerate(
        [("errors", "a", "500"), ("errors", "a", "503"), ("requests", "a", "200"), ("requests", "a", "500")]
    )]  # fmt: skip
    scene = Scene(rule('sum by (host) (errors{code=~"5.."}) / sum by (host) (requests) > 0.05'), known=known)
    assert scene.feed((0, 1, 3), (1, 1, 3), (2, 1, 90), (3, 1, 10), now=1) == [("firing", 1, "a")]


def test_nothing_divided_by_nothing_is_unknown() -> None:
    scene = Scene(rule("errors / requests > 0.05"), known=web("a"))
    assert scene.feed((0, 1, 0), (1, 1, 5), now=1) == []
    assert scene.evaluation.plan.problems == {}
    assert scene.status(host="a") is Status.INACTIVE


def test_one_side_may_go_with_many() -> None:
    known = [series(0, field="cpu", core="0"), series(1, field="cpu", core="1"), series(2, field="load")]
    scene = Scene(rule("cpu > 90 and load > 8"), known=known)
    assert scene.feed((0, 1, 95), (1, 1, 80), (2, 1, 9), now=1) == [("firing", 1, "0")]
    # The other way round there is one instance, for which any core will do.
    scene = Scene(rule("load > 8 and cpu > 90"), known=known)
    assert scene.feed((0, 1, 80), (1, 1, 95), (2, 1, 9), now=1) == [("firing", 1, "")]


def test_what_is_joined_on_other_tags_is_said_to_be() -> None:
    known = [
        series(0, field="cpu", host="a", core="0"),
        series(1, field="disk", host="a", path="/"),
        series(2, field="disk", host="b", path="/"),
    ]
    scene = Scene(rule("cpu > 90 and on (host) disk > 80"), known=known)
    assert scene.feed((0, 1, 95), (2, 1, 95), now=1) == []
    assert [told[:2] for told in scene.feed((1, 2, 85), now=2)] == [("firing", 2)]


def test_many_with_many_is_a_problem_that_says_what_to_do() -> None:
    known = [
        *(series(i, field="cpu", host="a", core=str(i)) for i in range(2)),
        *(series(2 + i, field="disk", host="a", path=str(i)) for i in range(2)),
    ]
    scene = Scene(rule("cpu / disk > 1"), known=known)
    assert scene.feed(*((i, 1, 10.0 - i) for i in range(4)), now=1) == []
    (problem,) = scene.evaluation.plan.problems.values()
    assert "host='a'" in problem
    assert "sum by" in problem


def test_or_takes_those_of_the_right_that_go_with_none_of_the_left() -> None:
    known = [series(0, field="cpu", host="a"), series(1, field="load", host="a"), series(2, field="load", host="b")]
    scene = Scene(rule("cpu > 90 or load > 8"), known=known)
    assert scene.feed((0, 1, 10), (1, 1, 9), (2, 1, 9), now=1) == [("firing", 1, "a"), ("firing", 1, "b")]


def test_unless_the_other_holds() -> None:
    known = [series(0, field="cpu", host="a"), series(1, field="maintenance", host="a")]
    scene = Scene(rule("cpu > 90 unless maintenance == 1"), known=known)
    assert scene.feed((0, 1, 95), (1, 1, 1), now=1) == []
    assert scene.feed((1, 2, 0), now=2) == [("firing", 2, "a")]
    # What isn't known of the other side doesn't count as false.
    assert scene.feed((1, 3, float("nan")), now=3) == []
    assert scene.status(host="a") is Status.FIRING


def test_what_is_not_so() -> None:
    scene = Scene(rule("not (cpu > 90 or cpu < 10)"), known=[series(0)])
    assert scene.feed((0, 1, 95), now=1) == []
    assert scene.feed((0, 2, 50), now=2) == [("firing", 2, "")]


def test_two_fields_are_compared_with_one_another() -> None:
    scene = Scene(rule("errors > 0.5 * requests"), known=web("a"))
    (fired,) = scene.evaluation.advance(points([(0, 1, 10), (1, 1, 6)]), at(1))
    assert fired.value == 6


def test_silence_is_noticed_when_it_begins() -> None:
    known = [series(0, field="cpu"), series(1, field="backup")]
    scene = Scene(rule("cpu > 90 and no data on backup for 5s"), known=known)
    assert scene.feed((0, 1, 95), (1, 1, 1), now=1) == []
    assert scene.until(6) == []
    assert scene.until(7) == [("firing", 6.000000001, "")]
    assert scene.feed((1, 8, 1), now=8) == [("condition", 8, "")]


def test_what_is_expected_is_missed_without_ever_having_come() -> None:
    made = rule_pb2.Rule(create_time=to_timestamp(START)).create_time
    spec = rule('no data on up for 5s expecting {host="a"}, {host="b"}', create_time=made)
    scene = Scene(spec, known=[series(0, field="up", host="a"), series(1, field="cpu", host="c")])
    assert scene.feed((0, 4, 1), now=4) == []
    assert scene.until(6) == [("firing", 5.000000001, "b")]
    # Once it comes it is one of them, with whatever other tags it has.
    scene.evaluation.add_series([series(2, field="up", host="b", zone="z")])
    assert scene.feed((0, 7, 1), (2, 7, 1), now=7) == [("condition", 7, "b")]
    assert scene.until(20) == [("firing", 12.000000001, "a"), ("firing", 12.000000001, "b")]


def test_any_field_of_what_is_expected_will_do() -> None:
    made = rule_pb2.Rule(create_time=to_timestamp(START)).create_time
    known = [series(0, field="cpu", host="a"), series(1, field="load", host="a"), series(2, field="load")]
    scene = Scene(rule('no data for 5s expecting {host="a"}, {host="b"}', create_time=made), known=known)
    assert scene.feed((0, 2, 1), (1, 4, 1), (2, 4, 1), now=4) == []
    # What isn't expected is looked at together, as without any tags.
    assert scene.until(10) == [
        ("firing", 5.000000001, "b"), ("firing", 9.000000001, ""), ("firing", 9.000000001, "a"),
    ]  # fmt: skip


def test_one_of_several_texts() -> None:
    known = [series(0, field="status", kind=FieldType.STRING)]
    scene = Scene(rule('status in ("down", "degraded")'), known=known)
    assert scene.feed((0, 1, code_of("up")), now=1) == []
    (fired,) = scene.evaluation.advance(points([(0, 2, code_of("degraded"))]), at(2))
    assert fired.value is None


def test_a_series_that_comes_later_finds_what_its_partner_had() -> None:
    requests, errors = web("a")
    scene = Scene(rule("sum(requests, 30s) / errors > 30"), known=[requests])
    scene.feed((0, 1, 100), (0, 2, 100), now=2)
    scene.evaluation.add_series([errors])
    assert scene.feed((1, 3, 5), now=3) == [("firing", 3, "a")]


def test_an_instance_that_other_series_dissolve_is_resolved() -> None:
    scene = Scene(rule("limit < cpu"), known=[series(0, field="limit"), series(1, field="cpu", core="0")])
    assert scene.feed((0, 1, 5), (1, 1, 9), now=1) == [("firing", 1, "")]
    # From now on it's the cores that are compared with the limit, each for itself.
    scene.evaluation.add_series([series(2, field="cpu", core="1")])
    assert scene.until(2) == [("updated", 1, "")]
    assert scene.feed((1, 3, 9), now=3) == [("firing", 3, "0")]


def test_results_with_the_same_tags_are_a_problem() -> None:
    scene = Scene(rule("errors / requests > 0", group_by=["zone"]), known=web("a", "b"))
    (problem,) = scene.evaluation.plan.problems.values()
    assert "same tags" in problem
    assert scene.evaluation.plan.instance_count == 1


def test_joins_that_explode_are_cut_off_with_a_reason() -> None:
    known = [series(index, field="requests", host=f"h{index:03}") for index in range(50)]
    evaluation = Evaluation(START, capacity=Capacity(Limits(inputs_per_rule=500), AMPLE.window_points))
    evaluation.add_series(known)
    evaluation.put_rule(rule("requests / sum of all requests > 0.5"), START)
    assert evaluation.plan.instance_count == 10
    assert "too many inputs" in evaluation.plan.problems[RuleKey("t", "rule_1")]


@pytest.mark.parametrize("text", ["2 * 3 > 5", "1 > 0"])
def test_what_looks_at_no_field_is_refused(text: str) -> None:
    with pytest.raises(Exception, match="field"):
        rule(text)


def told(scene: Scene) -> list[str]:
    """Why each instance of the rule is as it is."""
    return [one.text for one in explain(scene.evaluation, RuleKey("t", "rule_1"))]


def test_an_explanation_tells_what_a_value_was_computed_of() -> None:
    scene = Scene(rule("errors / requests > 0.05"), known=web("a"))
    scene.feed((0, 1, 100), (1, 1, 4), now=1)
    assert told(scene) == ["it's 0.04 (errors is 4, requests is 100); it fires once it is > 0.05"]


def test_an_explanation_tells_which_condition_holds() -> None:
    known = [series(0, field="cpu"), series(1, field="load"), series(2, field="status", kind=FieldType.STRING)]
    scene = Scene(rule('avg(cpu, 1m) > 90 and not (load < 8) or status == "down"'), known=known)
    scene.feed((0, 1, 95), (1, 1, 3), (2, 1, code_of("up")), now=1)
    (text,) = told(scene)
    assert text == (
        "it's false: avg(cpu, 1m) is 95, which is > 90 and not (load is 3, which is < 8) "
        "or the text of status makes it false; it fires once it is true"
    )


def test_an_explanation_says_what_is_not_known() -> None:
    scene = Scene(rule("errors > requests"), known=web("a"))
    scene.feed((0, 1, 100), now=1)
    (text,) = told(scene)
    assert text.startswith("it isn't known: unknown > 100 is unknown (errors is unknown, requests is 100)")


def test_an_explanation_tells_of_groups_and_silence() -> None:
    known = [*web("a", "b"), series(4, field="backup")]
    scene = Scene(rule("sum by () (requests) > 150 or no data on backup for 1h"), known=known)
    scene.feed((0, 1, 100), (2, 1, 60), (4, 1, 1), now=1)
    (text,) = told(scene)
    assert (
        "sum by () (requests) is 160, which is > 150 or the newest point is from 2023-11-14T23:00:01Z on backup" in text
    )


def test_a_formula_takes_so_many_series_as_a_rule_may_have() -> None:
    known = [series(index, field="requests", host=f"h{index:03}") for index in range(50)]
    evaluation = Evaluation(START, capacity=Capacity(Limits(per_rule=20), AMPLE.window_points))
    evaluation.add_series(known)
    evaluation.put_rule(rule("requests * 2 > 5"), START)
    assert evaluation.plan.instance_count == 20
    assert "30 of its series" in evaluation.plan.problems[RuleKey("t", "rule_1")]


def test_no_sum_is_made_of_a_part_of_what_it_asks_for() -> None:
    known = [series(index, field="requests", host=f"h{index:03}") for index in range(50)]
    evaluation = Evaluation(START, capacity=Capacity(Limits(per_rule=20), AMPLE.window_points))
    evaluation.add_series(known[:20])
    evaluation.put_rule(rule("sum by () (requests) > 5 or no data on requests for 5m"), START)
    assert evaluation.plan.instance_count == 1
    evaluation.add_series(known[20:])
    assert evaluation.plan.instance_count == 0
    assert "one number of 50 series" in evaluation.plan.problems[RuleKey("t", "rule_1")]


def test_a_ratio_takes_as_many_of_each_side() -> None:
    known = web(*(f"h{index:03}" for index in range(20)))
    evaluation = Evaluation(START, capacity=Capacity(Limits(per_rule=20), AMPLE.window_points))
    evaluation.add_series(known)
    evaluation.put_rule(rule("errors / requests > 5"), START)
    assert evaluation.plan.instance_count == 20
    assert evaluation.plan.problems == {}
