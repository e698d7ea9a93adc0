"""A message as one line for a terminal."""

from datetime import datetime, tzinfo

from monitors.mesh.times import SECOND
from monitors.notifier.channels.text import acknowledge_command, clean, facts, severity_words, shorten, verb
from monitors.notifier.model.message import Message

MAX_LINE = 1000
_WANTED = ("Escalation", "What", "Monitor", "Condition", "Firing for", "Lasted", "Reason", "By", "Note", "Delayed by")
_BARE = ("Escalation", "What", "Monitor", "Condition", "Note")
"""What says by itself what it is."""


def render(message: Message, now: int, zone: tzinfo | None = None) -> str:
    """One plain line without control characters; times in `zone`, the machine's own if None.

    It may hold square brackets from foreign text: print it as it is, not as Rich markup.
    """
    moment = datetime.fromtimestamp((message.event_time or now) // SECOND, zone).astimezone(zone)
    known = dict(facts(message, now))
    happened = f"{verb(message)} {severity_words(message)}".rstrip()
    parts = [f"{moment:%H:%M:%S} {happened} · {clean(message.title)}"]
    parts += [known[label] if label in _BARE else f"{label.lower()} {known[label]}"
              for label in _WANTED if label in known]  # fmt: skip
    line = shorten(" · ".join(parts), MAX_LINE)
    return f"{line} · {acknowledge_command(message)}" if message.fires else line
