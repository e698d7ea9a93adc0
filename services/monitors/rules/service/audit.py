"""The audit: one log line for each write that was carried out, with whose it was. A repeat of a request isn't one."""

import logging
from collections.abc import Iterator

from google.protobuf.message import Message

log = logging.getLogger("monitors.audit")

MOST_IDS = 20
# What answers hold what was changed in, from the outside in.
_HOLDERS = ("results", "rule", "rules", "previous", "alert", "alerts", "monitor", "key")


def note(tenant: str, user: str, method: str, response: Message) -> None:
    """Writes who did what to which resources, as the answer names them."""
    ids = list(dict.fromkeys(_ids(response)))
    more = f" and {len(ids) - MOST_IDS} more" if len(ids) > MOST_IDS else ""
    # Quoted, since a user's name comes from outside and mustn't write lines of its own.
    log.info("%s %s%s tenant=%r user=%r", method, " ".join(ids[:MOST_IDS]) or "-", more, tenant, user)


def _ids(message: Message) -> Iterator[str]:
    for field, value in message.ListFields():
        if field.name == "id":
            yield str(value)
        elif field.name in _HOLDERS:
            for part in [value] if isinstance(value, Message) else value:
                yield from _ids(part)
