"""The rows that the stores write, as the plain drivers take them."""

import hashlib
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.store.targets import Bare
from monitors.mesh.ids import id_series
from monitors.mesh.times import MINUTE, now_nanos
from monitors.rules.model.alert import once_key, shard_of
from monitors.rules.store.tables import alert_events, alerts, outbox

TENANT = "local"
BODY = secrets.token_bytes(400)
"""As long as a notification."""
ADD_TENANT = "INSERT INTO tenants (id, create_time) VALUES (?, ?)"
TAKE_NUMBERS = "UPDATE counters SET value = value + ? WHERE name = 'sequence'"
END = (
    "UPDATE alerts SET open_key = ?, suppress_reason = ?, resolve_time = ?, resolve_reason = ?, acknowledge_user = ?, "
    "acknowledge_time = ?, acknowledge_note = ?, severity = ?, severity_time = ? WHERE tenant_id = ? AND id = ?"
)
DOUBLINGS, LEAST_DOUBLED = 5, 50_000
ROWS_A_COMMIT = 20_000
Row = tuple[Any, ...]


def instance_key(number: int) -> str:
    """The key of the `number`-th instance."""
    return hashlib.sha256(str(number).encode()).hexdigest()


def alert_row(number: int, alert_id: str, time: int, *, severity: int = 2, resolve_time: int | None = None) -> Row:
    """An alert of the `number`-th instance, which fires unless there is a time of its end."""
    key, monitor = instance_key(number), f"mon{number}"
    return (
        TENANT, alert_id, f"rule_{number:012d}", monitor, shard_of(TENANT, monitor),
        '{"host": "h1", "region": "eu-central"}', key, None if resolve_time else key, time, f"{monitor} is high",
        severity, "v > 10", 42.5, time, time, '{"team": "checkout"}', '{"summary": "Too high for a while"}', "[]", "",
        time, resolve_time, "condition" if resolve_time else "", "", None, "", "", None,
    )  # fmt: skip


@dataclass
class Batches:
    """Batches of as many instances that begin, and then cease, to fire."""

    size: int
    sequence: int = 0

    def __post_init__(self) -> None:
        self._alert_ids, self._note_ids = id_series("alert"), id_series("note")
        self._open: list[tuple[int, str]] = []

    def write(self, bare: Bare, number: int, *, ends: bool) -> None:
        """Writes the rows of one batch in one transaction; an end is that of the batch that was written last."""
        now = now_nanos()
        with bare.transaction():
            bare.execute(TAKE_NUMBERS, (self.size,))
            if ends:
                ended = [
                    (None, "", now, "condition", "", None, "", 2, None, TENANT, alert_id) for _, alert_id in self._open
                ]
                bare.execute_many(END, ended)
            else:
                first = number * self.size
                self._open = [(place, next(self._alert_ids)) for place in range(first, first + self.size)]
                bare.insert(alerts, [alert_row(place, alert_id, now) for place, alert_id in self._open])
            bare.insert(alert_events, self._events(now, 2 if ends else 1))
            bare.insert(outbox, self._notifications(now, 2 if ends else 1))
        self.sequence += self.size

    def _events(self, now: int, kind: int) -> Iterator[Row]:
        for sequence, (place, alert_id) in enumerate(self._open, self.sequence + 1):
            once = once_key(instance_key(place), now, kind)  # type: ignore[arg-type]
            yield (TENANT, sequence, alert_id, kind, now, now, 42.5, "", "", once)

    def _notifications(self, now: int, kind: int) -> Iterator[Row]:
        for sequence, (place, alert_id) in enumerate(self._open, self.sequence + 1):
            stream = f"rule_{place:012d}/{instance_key(place)}"
            yield (TENANT, next(self._note_ids), sequence, alert_id, kind, stream, 0, now, "", 0, BODY, now)


def fill_alerts(bare: Bare, count: int, open_count: int) -> None:
    """Fills a database with at least `count` alerts of one tenant, one a minute, the newest ones open.

    Some come through the driver; then the database itself doubles those that are over, with earlier times.
    """
    doublings = DOUBLINGS if count >= LEAST_DOUBLED else 0
    first = open_count + -(-(count - open_count) // 2**doublings)
    ids, newest = id_series("alert"), now_nanos()
    with bare.transaction():
        bare.execute(ADD_TENANT, (TENANT, newest))
    rows = []
    for number in range(first):
        time = newest - (first - number) * MINUTE
        end = None if number >= first - open_count else time + MINUTE
        rows.append(alert_row(number, next(ids), time, severity=1 + number % 4, resolve_time=end))
    for start in range(0, first, ROWS_A_COMMIT):
        with bare.transaction():
            bare.insert(alerts, rows[start : start + ROWS_A_COMMIT])
    changes = {"id": "REPLACE(id, 'alert_', ?)", "fire_time": "fire_time - ?"}
    chosen = ", ".join(changes.get(column.name, f"`{column.name}`") for column in alerts.columns)
    for step in range(doublings):
        with bare.transaction():
            bare.execute(
                f"INSERT INTO alerts SELECT {chosen} FROM alerts WHERE open_key IS NULL",
                (f"alert_{step}", first * 2**step * MINUTE),
            )
