"""A message as a title and plain text, which Apprise puts into the form of each service."""

from monitors.notifier.channels.fitting import fit
from monitors.notifier.channels.summary import counts, line, tail
from monitors.notifier.channels.summary import headline as headline_of
from monitors.notifier.channels.text import facts, headline, shorten
from monitors.notifier.channels.wording import USUAL, Wording
from monitors.notifier.model.bundle import Bundle, Content

MAX_TITLE = 250
MAX_FACT = 500
MAX_BODY = 3000
"""Characters. What a service allows less of, Apprise cuts."""
MAX_TAIL = 100


def render(content: Content, now: int, wording: Wording = USUAL) -> tuple[str, str]:
    """Title and text."""
    title, text = _usual(content, now)
    if wording.lines is not None:
        text = shorten("\n".join(wording.lines), MAX_BODY)
    return (shorten(wording.title, MAX_TITLE) if wording.title else title), text


def _usual(content: Content, now: int) -> tuple[str, str]:
    if isinstance(content, Bundle):
        summary = counts(content)
        room = MAX_BODY - MAX_TAIL - sum(len(each) + 1 for each in summary)
        shown = fit(map(line, content.shown), room)
        left_out = tail(len(content.entries) - len(shown))
        return shorten(headline_of(content), MAX_TITLE), "\n".join([*summary, *shown, *filter(None, [left_out])])
    title = shorten(headline(content), MAX_TITLE)
    known = fit((f"{label}: {shorten(text, MAX_FACT)}" for label, text in facts(content, now)), MAX_BODY)
    return title, "\n".join(known) or title
