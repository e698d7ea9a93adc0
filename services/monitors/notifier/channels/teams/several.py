"""Several alerts as an Adaptive Card."""

from typing import Any

from monitors.notifier.channels.summary import counts, headline, line, tail
from monitors.notifier.channels.teams.render import MAX_BODY, block, encode, in_own_words, run, style_of
from monitors.notifier.channels.text import ICONS
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.bundle import Bundle

MAX_TAIL = 400
"""Bytes of the line that says how many more there are."""


def render(bundle: Bundle, wording: Wording = USUAL) -> bytes:
    """The JSON: how many there are of what, and the worst of them as far as they fit."""
    title, style = wording.title or f"🔔 {headline(bundle)}", style_of(bundle.entries[0])
    if wording.lines is not None:
        return in_own_words(title, style, wording.lines)
    rows = [_row(f"• {each}") for each in counts(bundle)]
    room = MAX_BODY - MAX_TAIL - len(encode(title, style, rows))
    shown: list[dict[str, Any]] = []
    for entry in bundle.shown:
        row = _row(f"{ICONS[entry.kind]} {line(entry)}")
        room -= len(encode("", "", [row])) - len(encode("", "", [])) + 1
        if room < 0:
            break
        shown.append(row)
    left_out = tail(len(bundle.entries) - len(shown))
    return encode(title, style, [*rows, *shown, *([_row(left_out)] if left_out else [])])


def _row(text: str) -> dict[str, Any]:
    return block([run(text)]) | {"spacing": "small"}
