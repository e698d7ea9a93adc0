"""How foreign text is fitted into what a channel allows: escaped, cut, and as many lines as there is room for."""

from collections.abc import Iterable, Mapping

from monitors.notifier.channels.text import clean, length


def escape(text: str, limit: int, escapes: Mapping[str, str]) -> str:
    """At most `limit` characters with some escaped; what stands for one is never cut in two."""
    escaped = [escapes.get(character, character) for character in text[: limit + 1]]
    if len(text) <= limit and sum(map(_size, escaped)) <= limit:
        return "".join(escaped)
    kept: list[str] = []
    room = limit - 1
    for part in escaped:
        room -= _size(part)
        if room < 0:
            break
        kept.append(part)
    return "".join(kept) + "…"


def as_code(text: str) -> str:
    """A text that may stand between backticks, where nothing means anything but another backtick, which ends it."""
    return clean(text).replace("`", "ˋ")


def fit(lines: Iterable[str], room: int) -> list[str]:
    """The first lines that have room together, each followed by a break."""
    kept: list[str] = []
    for line in lines:
        room -= length(line) + 1
        if room < 0:
            break
        kept.append(line)
    return kept


def first_within(bodies: Iterable[bytes], most: int) -> bytes:
    """The first that has at most `most` bytes, else the last."""
    for body in bodies:
        if len(body) <= most:
            break
    return body


def _size(part: str) -> int:
    """The length of a character or of what stands for it, which is plain."""
    return len(part) + (part > "\uffff")
