"""Calls that the SDK's parser can't read: each is answered, and the answer names what is wrong."""

import json
import os
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitors.bridge.incoming import DEEPEST_MESSAGE, readable
from tests.bridge.conftest import HttpBridge, RealService
from tests.bridge.raw import http_call, raw_stdio

Call = Callable[[str, str], Any]
LEAF = '{"type":"threshold","field":"price","operator":">","value":1}'


def nested(levels: int) -> str:
    """The text of a condition with so many `not`."""
    return '{"type":"not","condition":' * levels + LEAF + "}" * levels


@pytest.fixture(params=["stdio", "http"])
def call(request: pytest.FixtureRequest, real_service: RealService) -> Iterator[Call]:
    environment = {"MONITORS_SERVER": real_service.settings.address, "MONITORS_KEY": real_service.settings.key}
    if request.param == "stdio":
        with raw_stdio({**os.environ, **environment}) as raw:
            yield raw.call
        return
    bridge = HttpBridge(**environment)
    yield lambda tool, arguments: http_call(bridge.url, tool, arguments)
    bridge.close()


def test_whatever_comes_as_a_condition_is_answered_with_what_is_wrong(call: Call) -> None:
    conditions = {
        **{f"{levels} levels": nested(levels) for levels in (30, 90, 100, 200, 1_000, 10_000)},
        **{f"{levels} levels as text": json.dumps(nested(levels)) for levels in (100, 10_000)},
        "lists": "[" * 5_000 + "]" * 5_000,
        "900 kB": json.dumps("x > 5 or " * 100_000),
        "900 kB of brackets": json.dumps("{[" * 450_000),
        "900 kB of entries": json.dumps({f"key {number}": number for number in range(45_000)}),
        "many digits": "9" * 10_000,
        "half a character": r'"\ud800 > 5"',
    }
    for what, condition in conditions.items():
        result = call("create_alert_rule", f'{{"monitor": "mon_host", "title": "T", "condition": {condition}}}')
        (block,) = result["content"]
        assert result["isError"], what
        assert block["text"].startswith("condition: "), (what, block["text"])
        assert "othing was changed" in block["text"], what
        assert len(block["text"].encode()) <= 480, (what, block["text"])
    # And the bridge goes on.
    assert call("list_alert_rules", "{}")["structuredContent"]["total"] == 0


def test_a_body_that_is_too_large_is_refused_unread(real_service: RealService) -> None:
    bridge = HttpBridge(MONITORS_SERVER=real_service.settings.address, MONITORS_KEY=real_service.settings.key)
    try:
        with pytest.raises(HTTPError) as refused:
            http_call(bridge.url, "list_alerts", json.dumps({"monitor": "x" * 5_000_000}))
        assert refused.value.code == 413
        refused.value.close()
        assert http_call(bridge.url, "list_alerts", "{}")["structuredContent"]["total"] == 0
    finally:
        bridge.close()


# With a look at the rest for each of its characters, the first would take three quarters of an hour.
@pytest.mark.parametrize(
    "text", ["[" * 101 + '"' + '\\"' * 450_000, ("1" * 399 + ",") * 2_200, "[-" * 450_000, "\\u" * 450_000]
)
def test_a_text_is_read_once_however_it_is_made(text: str) -> None:
    assert len(readable(text)) <= len(text)


def test_half_a_character_in_a_title_is_replaced(call: Call) -> None:
    arguments = (
        r'{"monitor": "mon_host", "title": "a \ud83d b \ud83d\ude00 \\ud83d", "condition": "load > 5", "dry_run": true}'
    )
    result = call("create_alert_rule", arguments)
    assert result["structuredContent"]["rule"]["title"] == "a \ufffd b \U0001f600 \\ud83d"


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(JSON, st.booleans())
def test_what_can_be_read_stays_as_it_is(value: Any, ascii_only: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only)
    assert json.loads(readable(text)) == json.loads(json.dumps(value))


@given(st.integers(0, 300), st.text(alphabet='[]{}"\\ü', max_size=200), st.integers(1, 600))
def test_what_is_too_deep_or_too_long_is_cut_there_and_nothing_else(levels: int, text: str, digits: int) -> None:
    value: Any = {"text": text}
    for _ in range(levels):
        value = [value]
    number = int("9" * digits)
    mended = json.loads(readable(json.dumps({"a": value, "number": number, "after": text})))
    assert mended["after"] == text
    assert mended["number"] == (number if digits < 400 else "…too many digits…")
    inner, depth = mended["a"], 1
    while isinstance(inner, list):
        inner, depth = inner[0], depth + 1
    assert inner == ({"text": text} if levels + 2 <= DEEPEST_MESSAGE else "…nested too deeply…")
    assert depth <= DEEPEST_MESSAGE
