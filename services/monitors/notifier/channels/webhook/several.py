"""Several alerts as the body of a Standard Webhooks 1.0 request. It's the same at every attempt to tell the same."""

from collections import Counter
from typing import Any

from monitors.notifier.channels.summary import LIST_COMMAND
from monitors.notifier.channels.text import format_rfc3339
from monitors.notifier.channels.webhook.render import MAX_BODY, TYPES, cut_down, data_of, encode
from monitors.notifier.model.bundle import Bundle

TYPE = "alert.digest"
# What is kept of an alert's texts and maps: if a few alerts fit only so, or of each of many.
_CUTS = ((1024, 32), (100, 8))
_FEW = 3


def render(bundle: Bundle) -> bytes:
    """The JSON, at most 20,000 bytes: how many there are of what, and the worst of them as far as they fit."""
    for text_limit, entry_limit in _CUTS:
        body, shown = _body(bundle, text_limit, entry_limit)
        if shown >= min(_FEW, len(bundle.entries)):
            break
    return body


def _body(bundle: Bundle, text_limit: int, entry_limit: int) -> tuple[bytes, int]:
    by_severity = Counter(entry.severity for entry in bundle.entries)
    data: dict[str, Any] = {
        "count": len(bundle.entries),
        "counts": dict(sorted(Counter(TYPES[entry.kind] for entry in bundle.entries).items())),
        "severities": {severity.name.lower(): by_severity[severity] for severity in sorted(by_severity, reverse=True)},
        "alerts": [],
        "left_out": len(bundle.entries),
        "list_command": LIST_COMMAND,
    }
    event = {"type": TYPE, "timestamp": format_rfc3339(bundle.event_time), "data": data}
    room = MAX_BODY - len(encode(event))
    for entry in bundle.shown:
        whole = data_of(entry)
        cut = {"type": TYPES[entry.kind], **cut_down(whole, text_limit, entry_limit)}
        if cut != {"type": TYPES[entry.kind], **whole}:
            cut["truncated"] = True
        room -= len(encode(cut)) + 1
        if room < 0:
            break
        data["alerts"].append(cut)
    data["left_out"] -= len(data["alerts"])
    return encode(event), len(data["alerts"])
