"""When the messages of groups go, at rest; and what of a group is told together."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, bindparam, delete, insert, or_, select, text
from sqlalchemy.orm import Session

from monitors.mesh.rows import Row, change_rows, execute_rows, find_rows, in_parts, read_rows, update_rows
from monitors.mesh.times import DAY
from monitors.notifier.model.delivery import UNFINISHED, State
from monitors.notifier.model.flushing import Group
from monitors.notifier.model.storm import is_digest
from monitors.notifier.store.backlogs import collapse
from monitors.notifier.store.sendable import COLUMNS, nothing_earlier, rest_of_streams
from monitors.notifier.store.standing import is_due
from monitors.notifier.store.tables import IN_A_GROUP, deliveries, groups

MOST_TOGETHER = 2000
MOST_IN_A_DIGEST = 10_000
KEPT = DAY
Key = tuple[str, str]
"""A group: its tenant and its key."""

_KEY = ("tenant_id", "group_key")
_STATE = ("flush_at", "is_opening")
_KNOWN = select(groups).where(
    groups.c.tenant_id == bindparam("tenant"), groups.c.group_key.in_(bindparam("keys", expanding=True))
)
# Two notifiers may open a group at once: both send at once then, as if neither knew of the other's alert.
_OPEN = insert(groups).prefix_with("OR IGNORE", dialect="sqlite").prefix_with("IGNORE", dialect="mysql")
_FORGET = delete(groups).where(groups.c.flush_at < bindparam("before"))
_IS_UNFINISHED = deliveries.c.state.in_(list(map(int, UNFINISHED)))
_IS_DUE = or_(
    and_(deliveries.c.state == int(State.PENDING), deliveries.c.next_at <= bindparam("now")),
    and_(deliveries.c.state == int(State.IN_FLIGHT), deliveries.c.lease_until <= bindparam("now")),
)
_MEMBERS = (
    select(*COLUMNS)
    .where(
        deliveries.c.tenant_id == bindparam("tenant"),
        deliveries.c.group_key.in_(bindparam("keys", expanding=True)),
        _IS_UNFINISHED,
        # In so many words, or SQLite doesn't see that its index holds all of them.
        text(IN_A_GROUP),
        _IS_DUE,
        nothing_earlier(),
    )
    .order_by(deliveries.c.sequence)
    .limit(bindparam("wanted"))
    .with_for_update(skip_locked=True)
)


def load(session: Session, keys: Collection[Key]) -> dict[Key, Group]:
    """Those of the groups that aren't idle for long."""
    found: dict[Key, Group] = {}
    for tenant, listed in _by_tenant(keys):
        for part in in_parts(listed):
            rows = find_rows(session, _KNOWN, {"tenant": tenant}, "keys", part)
            found |= {(row.tenant_id, row.group_key): Group(row.flush_at, bool(row.is_opening)) for row in rows}
    return found


def save(session: Session, before: Mapping[Key, Group], after: Mapping[Key, Group], now: int) -> None:
    """Remembers how groups stand, and forgets those that have long been idle."""
    changed = [key for key, group in after.items() if before.get(key) != group]
    update_rows(session, groups, _KEY, _STATE, [_row(key, after[key]) for key in changed if key in before])
    opened = [_row(key, after[key]) for key in changed if key not in before]
    if opened:
        execute_rows(session, _OPEN, (*_KEY, *_STATE), opened)
        change_rows(session, _FORGET, {"before": now - KEPT})


def companions(session: Session, heads: Sequence[Row], now: int) -> dict[Key, list[Row]]:
    """What is told along with `heads`, which are due and are locked: whatever else of their groups is due and waits for
    nothing that isn't told by the same message; in the order of the sequence, the heads among it."""
    told: dict[Key, list[Row]] = {}
    for tenant, keys in _by_tenant({(row.tenant_id, row.group_key) for row in heads if row.group_key}):
        rows = {row.id: row for row in heads if row.tenant_id == tenant and row.group_key}
        wanted = MOST_IN_A_DIGEST if any(map(is_digest, keys)) else MOST_TOGETHER
        values = {"tenant": tenant, "keys": keys, "now": now, "wanted": wanted}
        rows |= {row.id: row for row in read_rows(session, _MEMBERS, values)}
        # What takes the place of something that has been overtaken may belong to another group.
        first = [row for row in collapse(session, list(rows.values()), now) if row.group_key in keys]
        for row in _with_rest_of_streams(session, tenant, first, now):
            told.setdefault((tenant, row.group_key), []).append(row)
    return told


def _with_rest_of_streams(session: Session, tenant: str, first: Sequence[Row], now: int) -> list[Row]:
    """Rows with what follows each in its stream, as far as it's due and of the same group."""
    streams = rest_of_streams(session, tenant, [row.stream_key for row in first])
    found = list(first)
    for row in first:
        for later in streams.get(row.stream_key, ()):
            if later.sequence <= row.sequence:
                continue
            if later.group_key != row.group_key or not is_due(later, now):
                break
            found.append(later)
    return sorted(found, key=lambda row: row.sequence)


def _row(key: Key, group: Group) -> tuple[Any, ...]:
    return (*key, group.flush_at, group.is_opening)


def _by_tenant(keys: Collection[Key]) -> Iterator[tuple[str, list[str]]]:
    listed: dict[str, list[str]] = defaultdict(list)
    for tenant, key in sorted(keys):
        listed[tenant].append(key)
    yield from listed.items()
