"""Log lines as text and as JSON: complete, in their trace, and without secrets."""

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider

from monitors.app.logs import JsonLines, TextLines
from tests.canaries import canary


def record_of(message: str, *arguments: object, error: BaseException | None = None) -> logging.LogRecord:
    about = (type(error), error, error.__traceback__) if error else None
    return logging.LogRecord("monitors.rules", logging.WARNING, __file__, 1, message, arguments, about)


def line_of(record: logging.LogRecord) -> dict[str, Any]:
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_of_json_says_when_how_bad_who_and_what() -> None:
    line = line_of(record_of("%d transitions\nwait", 3))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert line == {"level": "WARNING", "logger": "monitors.rules", "message": "3 transitions\nwait"}


def test_a_line_of_json_names_the_trace_in_which_it_was_written() -> None:
    provider = TracerProvider(shutdown_on_exit=False)
    with provider.get_tracer("test").start_as_current_span("a call") as span:
        line = line_of(record_of("inside"))
    place = span.get_span_context()
    assert (line["trace_id"], line["span_id"]) == (f"{place.trace_id:032x}", f"{place.span_id:016x}")


@pytest.mark.parametrize("lines", [JsonLines(), TextLines()])
def test_neither_a_message_nor_an_error_shows_a_secret(lines: logging.Formatter, tmp_path: Path) -> None:
    secret = canary("log")
    try:
        raise ConnectionError(f"can't open redis://:{secret}@cache:6379")
    except ConnectionError as error:
        text = lines.format(record_of("sent %s", f"Authorization: Bearer {secret}", error=error))
    assert "ConnectionError" in text
    assert "cache:6379" in text
    assert secret not in text
