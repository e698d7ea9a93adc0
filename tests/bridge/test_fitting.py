"""What doesn't fit is left out from the end, counted, and said, in both channels alike."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from monitors.bridge import models, render
from monitors.bridge.backtest_models import Backtest, Curve, FiringInterval, Series
from monitors.bridge.fitting import LONGEST_ANSWER, shorten, size_of
from monitors.bridge.output import Answer

NOW = 1_795_000_000 * 10**9
TIME = "2026-11-18T11:06:40Z"
LONG = '"\U0001f4a5' * 100
TAGS = {f"{LONG[:20]}{n}": LONG for n in range(12)}
RULE = models.Rule.model_validate(
    {
        "title": LONG,
        "monitor": LONG,
        "condition": LONG,
        "severity": "high",
        "state": "idle",
        "labels": TAGS,
        "for": "0s",
    }
)
ALERT = models.Alert(
    id="a", rule_id="r", title=LONG, monitor=LONG, severity="low", state="firing", fired=TIME, group=TAGS, labels=TAGS
)
CURVE = Curve(
    monitor=LONG, group=TAGS, start=TIME, end=TIME, least=1.0, greatest=2.0, sparkline="▁" * 24, values=[1.0] * 24
)
BACKTEST = Backtest(
    window="1d", alerts=50, firing_total="1h", firing_longest="1h", warnings=[LONG] * 20, curves=[CURVE] * 2,
    intervals=[FiringInterval(monitor=LONG, group=TAGS, fired=f"2026-11-{n + 10}T00:00:00Z") for n in range(10)],
)  # fmt: skip
EXPLANATION = models.Explanation(
    alert_id="a",
    instances=[models.Instance(monitor=LONG, group=TAGS, state="firing", text=LONG)] * 10,
    timeline=[models.Event(time=f"2026-11-{n + 10}T00:00:00Z", kind="firing", detail=LONG) for n in range(20)],
    deliveries=[models.Delivery(channel="ops", kind="firing", state="delivered", attempts=1, detail=LONG)] * 20,
)
MATCH = Series(monitor=LONG, field=LONG, tags=TAGS)
CHANGES = [models.Change(parameter=name, before=TAGS, after=TAGS) for name in ("labels", "levels")]
ANSWERS: list[tuple[Answer, Callable[..., str]]] = [
    (
        models.CreatedRule(saved=False, rule=RULE, matches=[MATCH] * 20, matches_total=100, backtest=BACKTEST),
        render.created,
    ),
    (models.UpdatedRule(saved=False, rule=RULE, changes=CHANGES * 5, backtest=BACKTEST), render.updated),
    (models.DeletedRule(deleted=True, rule=RULE, restore={f"{n}": LONG * 30 for n in range(9)}), render.deleted),
    (models.AlertList(alerts=[ALERT] * 3, total=9, explanations=[EXPLANATION] * 3), render.alerts),
    (models.Acknowledged(alerts=[ALERT] * 100, acknowledged=["a"] * 100), render.acknowledged),
    (
        models.RuleList(
            rules=[RULE],
            total=5,
            monitors_total=500,
            monitors=[models.Monitor(id=LONG, fields=[models.MonitorField(name=LONG, type="float")] * 30,
                                     fields_total=90)] * 100,
        ),
        render.rules,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("answer", "rendered"), ANSWERS, ids=lambda one: type(one).__name__)
def test_whatever_is_too_long_is_cut_to_fit_and_says_so(answer: Answer, rendered: Callable[..., str]) -> None:
    cut = answer.model_copy(deep=True)
    assert size_of(cut, rendered, NOW) > LONGEST_ANSWER
    shorten(cut, rendered, NOW)
    assert LONGEST_ANSWER / 2 < size_of(cut, rendered, NOW) <= LONGEST_ANSWER
    assert cut.note is not None
    assert cut.note.startswith("Left out to keep the answer short: ")
    assert cut.note in rendered(cut, NOW)
    # Still one of its kind.
    assert type(cut).model_validate(cut.structured()) == cut


def test_of_what_happened_the_latest_is_kept() -> None:
    happened = EXPLANATION.model_copy(deep=True, update={"instances": None, "deliveries": None})
    answer = models.AlertList(alerts=[ALERT], total=1, explanations=[happened])
    shorten(answer, render.alerts, NOW, size_of(answer, render.alerts, NOW) * 2 // 3)
    assert answer.explanations == [happened]
    assert happened.timeline
    assert happened.timeline[-1].time == "2026-11-29T00:00:00Z"
    assert len(happened.timeline) < 20
    backtest = BACKTEST.model_copy(deep=True, update={"warnings": None, "curves": None})
    tried = models.CreatedRule(saved=False, rule=RULE.model_copy(deep=True), backtest=backtest)
    shorten(tried, render.created, NOW, size_of(tried, render.created, NOW) - 3_000)
    assert [one.fired for one in backtest.intervals][-1] == "2026-11-19T00:00:00Z"
    assert len(backtest.intervals) < 10
    assert f"These are the latest {len(backtest.intervals)}." in render.created(tried, NOW)


def test_what_fits_stays_as_it_is() -> None:
    answer = models.Acknowledged(alerts=[ALERT], acknowledged=["a"])
    before: dict[str, Any] = json.loads(json.dumps(answer.structured()))
    shorten(answer, render.acknowledged, NOW)
    assert answer.structured() == before
