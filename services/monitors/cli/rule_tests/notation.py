"""The short texts of tests: names with tags, values in a row as Prometheus writes them, and spans of time."""

import re
from collections.abc import Mapping

from monitors.cli.durations import format_duration, parse_duration
from monitors.cli.rule_files.fields import Unfit

MOST_VALUES = 100_000
_NAME = re.compile(r"(?P<name>[^{}]+?)\s*(?:\{(?P<tags>.*)\})?", re.DOTALL)
_TAG = re.compile(r'\s*(?P<tag>[^\s=,"{}]+)\s*=\s*"(?P<value>(?:[^"\\]|\\.)*)"\s*(?P<end>,|$)')
_NUMBER = r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_VALUE = re.compile(rf"(?P<first>{_NUMBER})(?:(?P<step>[+-](?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?)?x(?P<count>\d+))?")
_GAP = re.compile(r"_(?:x(?P<count>\d+))?")
_WORDS = {"true": 1.0, "false": 0.0}


def parse_name(text: str) -> tuple[str, dict[str, str]]:
    """`cpu` and its tags from `cpu{core="0", host="a"}`. Raises Unfit."""
    found = _NAME.fullmatch(text.strip())
    if not found:
        raise Unfit(f'{text[:80]!r} isn\'t a name; write it as `cpu` or `cpu{{core="0"}}`')
    rest, tags = found["tags"] or "", {}
    while rest.strip():
        tag = _TAG.match(rest)
        if not tag:
            raise Unfit(
                f'{text[:80]!r}: the tags can\'t be read at {rest.strip()[:40]!r}; write them as `{{core="0"}}`'
            )
        if tag["tag"] in tags:
            raise Unfit(f"{text[:80]!r} has the tag {tag['tag']!r} twice")
        tags[tag["tag"]] = re.sub(r"\\(.)", r"\1", tag["value"], flags=re.DOTALL)
        rest = rest[tag.end() :]
    return found["name"], tags


def format_name(name: str, tags: Mapping[str, str]) -> str:
    """The text that reads as that."""
    pairs = ", ".join(f'{tag}="{_escaped(value)}"' for tag, value in sorted(tags.items()))
    return f"{name}{{{pairs}}}" if pairs else name


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"")


def parse_values(text: str) -> list[float | None]:
    """Values in a row, None where there is none: `1 _ 5x2 1+2x3` is 1, none, 5, 5, 5, 1, 3, 5, 7. Raises Unfit."""
    values: list[float | None] = []
    for word in text.split():
        count = re.search(r"x(\d{1,9})$", word)
        if len(values) + (int(count[1]) if count else 0) >= MOST_VALUES:
            raise Unfit(f"there are more than {MOST_VALUES:,} values; let it be shorter")
        values += _expanded(word)
    if not values:
        raise Unfit("holds no values; write some, such as `1 2 3` or `10x5 95x10`")
    return values


def _expanded(word: str) -> list[float | None]:
    if word.lower() in _WORDS:
        return [_WORDS[word.lower()]]
    if gap := _GAP.fullmatch(word):
        return [None] * int(gap["count"] or 1)
    if value := _VALUE.fullmatch(word):
        first, step = float(value["first"]), float(value["step"] or 0)
        return [first + step * number for number in range(int(value["count"] or 0) + 1)]
    if word == "stale":
        raise Unfit("there are no stale markers here: a series that ends has no more points, which is `_`")
    raise Unfit(
        f"{word[:40]!r} isn't a value; write `5`, `5x3` (5 and three more), `1+2x3` (1 3 5 7), `_` or `_x3` (none)"
    )


def parse_span(text: str) -> tuple[int, int | None]:
    """Nanoseconds of `4m..7m30s`, and of `4m..`, which is still so at the end. Raises Unfit."""
    begin, dots, end = (part.strip() for part in text.partition(".."))
    if not dots or not begin:
        raise Unfit(f"{text[:40]!r} isn't a time to fire; write `4m..7m30s`, or `4m..` if it isn't over at the end")
    try:
        start, over = parse_duration(begin), parse_duration(end) if end else None
    except ValueError as error:
        raise Unfit(str(error)) from None
    if over is not None and over <= start:
        raise Unfit(f"{text[:40]!r} ends before it begins")
    return start, over


def format_span(start: int, end: int | None) -> str:
    """The text that reads as that."""
    return f"{format_duration(start)}..{'' if end is None else format_duration(end)}"
