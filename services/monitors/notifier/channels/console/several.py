"""Several alerts as lines for a terminal."""

from datetime import datetime, tzinfo

from monitors.mesh.times import SECOND
from monitors.notifier.channels.summary import headline, line, tail
from monitors.notifier.model.bundle import Bundle

MAX_ENTRIES = 20


def render(bundle: Bundle, now: int, zone: tzinfo | None = None) -> list[str]:
    """Plain lines without control characters; the time is in `zone`, the machine's own if None."""
    moment = datetime.fromtimestamp((bundle.event_time or now) // SECOND, zone).astimezone(zone)
    shown = bundle.shown[:MAX_ENTRIES]
    lines = [f"{moment:%H:%M:%S} {headline(bundle)}", *(f"  {line(entry)}" for entry in shown)]
    left_out = tail(len(bundle.entries) - len(shown))
    return [*lines, f"  {left_out}"] if left_out else lines
