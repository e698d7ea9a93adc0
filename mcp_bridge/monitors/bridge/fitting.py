"""How long an answer may be: clients cut what is longer, so what doesn't fit is left out here, and said.

A token is taken as four bytes. Text and structured data count each by itself, since clients show one of them.
"""

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

from monitors.bridge.output import Answer, Output, Page
from monitors.bridge.parameters import Arguments

BYTES_A_TOKEN = 4
# Under 10,000 tokens, with room for what a client puts around it.
LONGEST_ANSWER = 9_500 * BYTES_A_TOKEN
# What nobody asked to be longer.
DEFAULT_PAGE = 1_900 * BYTES_A_TOKEN

AnswerT = TypeVar("AnswerT", bound=Answer)
PageT = TypeVar("PageT", bound=Page)
Render = Callable[[AnswerT, int], str]


def longest_page(arguments: Arguments) -> int:
    """How many bytes a list may take: more for who asks for more."""
    return LONGEST_ANSWER if arguments.given("limit") or arguments.given("detail") else DEFAULT_PAGE


def size_of(output: AnswerT, render: Render[AnswerT], now: int) -> int:
    """The bytes of the text or of the structured data, whichever are more."""
    return max(len(render(output, now).encode()), _bytes(output.structured()))


async def page_that_fits(
    fetch: Callable[[int], Awaitable[PageT]], limit: int, render: Render[PageT], now: int, longest: int
) -> PageT:
    """The first `limit` rows, or as many as take `longest` bytes.

    Fewer are fetched anew, so that the cursor goes on behind the last of them.
    """
    page = await fetch(limit)
    while len(page.rows()) > 1 and (size := size_of(page, render, now)) > longest:
        fewer = min(len(page.rows()) - 1, len(page.rows()) * longest // size)
        page = await fetch(max(1, fewer))
        page.add_note(f"Only {len(page.rows())} rows, to keep the answer short.")
    return page


def shorten(output: AnswerT, render: Render[AnswerT], now: int, longest: int = LONGEST_ANSWER) -> None:
    """Leaves out entries of the longest lists from their end until the answer fits, and notes how many.

    The rows of a page stay, because its cursor goes on behind them.
    """
    said, left_out = output.note, Counter[str]()
    while size_of(output, render, now) > longest:
        found = max(_collections(output), key=lambda one: one[:2], default=None)
        if found is None:
            return
        *_, owner, name = found
        what, count = _cut(owner, name)
        left_out[what] += count
        counts = ", ".join(f"{count} of {what}" if count else what for what, count in left_out.items())
        output.note = said
        output.add_note(f"Left out to keep the answer short: {counts}. {output.narrower}".rstrip())


def _collections(output: Output) -> Iterator[tuple[bool, int, Output, str]]:
    """Everything of which some may be left out: whether gladly, its size, its owner and its name."""
    for name in type(output).model_fields:
        value = getattr(output, name)
        if isinstance(value, Output):
            yield from _collections(value)
        elif isinstance(value, list | dict) and value and name not in output.kept:
            # What is the last of its kind goes late, after what is in it.
            gladly = name not in output.kept_longest and len(value) > 1
            yield gladly, _bytes(_plain(value)), output, name
        for one in value if isinstance(value, list) else ():
            if isinstance(one, Output):
                yield from _collections(one)


def _cut(owner: Output, name: str) -> tuple[str, int]:
    """Leaves out a quarter of a list, or the greatest entry of an object. Returns of what, and how many entries.

    Of what is kept longest the entry is named, with the number 0.
    """
    value = getattr(owner, name)
    if isinstance(value, dict):
        greatest = max(value, key=lambda key: _bytes(value[key]))
        setattr(owner, name, {key: one for key, one in value.items() if key != greatest} or None)
        return (f"{name}.{greatest}", 0) if name in owner.kept_longest else (name, 1)
    count = max(1, len(value) // 4)
    setattr(owner, name, value[count:] if name in owner.oldest_first else value[:-count])
    return name, count


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [one.structured() if isinstance(one, Output) else one for one in value]
    return value


def _bytes(value: Any) -> int:
    return len(json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode())
