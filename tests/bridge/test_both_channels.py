"""Clients show their model the text or the structured data, so each says what the other says."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitors.bridge import models, render
from monitors.bridge.output import Answer
from tests.bridge.answers import any_of, changed_once

NOW = 1_795_000_000 * 10**9
RENDERED: list[tuple[type[Answer], Callable[..., str]]] = [
    (models.CreatedRule, render.created),
    (models.UpdatedRule, render.updated),
    (models.DeletedRule, render.deleted),
    (models.RuleList, render.rules),
    (models.AlertList, render.alerts),
    (models.Acknowledged, render.acknowledged),
]


@pytest.mark.parametrize(("model", "rendered"), RENDERED)
@given(data=st.data())
@settings(max_examples=40, suppress_health_check=list(HealthCheck))
def test_the_text_says_what_the_data_says_and_no_more(
    model: type[Answer], rendered: Callable[..., str], data: Any
) -> None:
    answer = data.draw(any_of(model))
    structured = json.loads(json.dumps(answer.structured(), allow_nan=False))
    # What is in the text is in the data, since it's made of nothing else.
    assert rendered(model.model_validate(structured), NOW) == rendered(answer, NOW)
    # What is in the data is in the text: if one fact were another, so would be the text.
    text = rendered(answer, NOW)
    for other in changed_once(structured):
        assert rendered(model.model_validate(other), NOW) != text, difference(structured, other)


def difference(one: Any, other: Any) -> Any:
    """The fact in which two answers differ."""
    if isinstance(one, dict):
        return {key: difference(one[key], other[key]) for key in one if one[key] != other[key]}
    if isinstance(one, list):
        return [difference(*both) for both in zip(one, other, strict=True) if both[0] != both[1]]
    return one, other
