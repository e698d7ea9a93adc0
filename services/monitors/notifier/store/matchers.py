"""Matchers as they are remembered: as JSON, each by its name, operator and value."""

import json
from collections.abc import Iterable

from monitors.notifier.model.matching import Matcher, Operator


def write_matchers(matchers: Iterable[Matcher]) -> str:
    """The text to keep."""
    return json.dumps([[one.name, int(one.operator), one.value] for one in matchers], ensure_ascii=False)


def read_matchers(text: str) -> tuple[Matcher, ...]:
    """The matchers of a text that was kept."""
    return tuple(Matcher(name, Operator(number), value) for name, number, value in json.loads(text))
