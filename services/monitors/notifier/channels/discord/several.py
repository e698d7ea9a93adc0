"""Several alerts as a Discord payload."""

from monitors.notifier.channels.discord.render import ESCAPES, MAX_DESCRIPTION, MAX_FACT, in_own_words, payload
from monitors.notifier.channels.fitting import as_code, escape, fit
from monitors.notifier.channels.summary import counts, headline, line, tail
from monitors.notifier.channels.text import ICONS, colour_of, length
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.bundle import Bundle
from monitors.notifier.model.message import Message

MAX_COUNT = 200
MAX_TAIL = 100


def render(bundle: Bundle, wording: Wording = USUAL) -> bytes:
    """The JSON. Foreign text can neither format nor mention anybody: it's escaped, and alerts stand as code."""
    summary = [f"• {escape(each, MAX_COUNT, ESCAPES)}" for each in counts(bundle)]
    room = MAX_DESCRIPTION - MAX_TAIL - sum(length(each) + 1 for each in summary)
    shown = fit((_entry(entry) for entry in bundle.shown), room)
    left_out = tail(len(bundle.entries) - len(shown))
    lines = [*summary, *shown, *([f"`{left_out}`"] if left_out else [])]
    if wording.lines is not None:
        lines = fit(in_own_words(wording.lines), MAX_DESCRIPTION)
    icon, title = ("", wording.title) if wording.title else ("🔔 ", headline(bundle))
    return payload(icon, title, lines, colour_of(bundle.entries[0]), bundle.event_time)


def _entry(entry: Message) -> str:
    return f"{ICONS[entry.kind]} `{escape(as_code(line(entry)), MAX_FACT, {})}`"
