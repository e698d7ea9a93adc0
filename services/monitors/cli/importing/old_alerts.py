"""A row of the first product's `alerts`, and what becomes of it.

alerts(id, rule_id, status, triggered_at, resolved_at, value, message, …)

Every column but `id` and `rule_id` may be missing, or have another of the names that are usual.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from monitors.cli.importing.old_rules import OldRule, Unusable, key_of, one_line, severity_of, shown, text_of
from monitors.mesh.identity.existing import Row, is_true, moment_of
from monitors.mesh.times import to_timestamp
from monitors.v1.alert_pb2 import Acknowledgement
from monitors.v1.rule_service_pb2 import PastAlert

LONGEST_SAID = 2000
LONGEST_USER = 100
_FIRED = ("triggered_at", "fired_at", "started_at", "created_at")
_RESOLVED = ("resolved_at", "closed_at", "ended_at")
_VALUES = ("value", "current_value", "triggered_value", "trigger_value")
_OVER = ("resolved", "closed")


@dataclass(frozen=True)
class OldAlert:
    """A row of `alerts`."""

    id: str
    rule_id: str
    row: Row

    @property
    def is_over(self) -> bool:
        """Whether it's resolved there."""
        row = self.row
        return (
            _first(row, _RESOLVED) is not None
            or text_of(row.get("status")).strip().lower() in _OVER
            or (row.get("is_active") is not None and not is_true(row["is_active"]))
            or is_true(row.get("is_resolved"))
        )

    @property
    def key(self) -> str:
        """The name by which an alert that was taken over is known again."""
        return key_of(self.id)


def old_alert(row: Row) -> OldAlert:
    """A row of `alerts`."""
    return OldAlert(text_of(row.get("id")), text_of(row.get("rule_id") or row.get("alert_rule_id")), row)


def alert_of(old: OldAlert, rule: OldRule, rule_id: str, now: int) -> tuple[PastAlert, list[str]]:
    """The alert that a row becomes under the rule here, and what of it isn't taken over. `now` is nanoseconds since
    1970. Raises Unusable; the rest is checked by the mesh."""
    row = old.row
    if not old.id:
        raise Unusable("id is empty, so it couldn't be known again")
    user = text_of(row.get("user_id"))
    if user and user != rule.user_id:
        raise Unusable(f"user_id {shown(user)} isn't that of its rule, {shown(rule.user_id)}")
    fired, resolved = _times(row, now)
    alert = PastAlert(
        key=old.key,
        rule_id=rule_id,
        monitor_id=text_of(row.get("monitor_id")) or text_of(rule.row.get("monitor_id")),
        title=one_line(row.get("title") or row.get("name")) or rule.title,
        severity=severity_of(row.get("severity")),
        fire_time=to_timestamp(fired),
        resolve_time=to_timestamp(resolved),
        detail=text_of(row.get("message"))[:LONGEST_SAID],
    )
    warnings = [*_add_value(alert, row), *_add_acknowledgement(alert, row, rule.user_id, fired, now)]
    return alert, warnings


def _times(row: Row, now: int) -> tuple[int, int]:
    fired = _moment(row, _FIRED)
    # When the row was changed last is the nearest to its end that a product without such a column knows.
    resolved = _moment(row, (*_RESOLVED, "updated_at"))
    if fired is None:
        raise Unusable(f"none of {', '.join(_FIRED)} says when it fired")
    if resolved is None:
        raise Unusable(f"it's over, but none of {', '.join(_RESOLVED)}, updated_at says since when")
    if resolved < fired:
        raise Unusable("it was resolved before it fired")
    if resolved > now:
        raise Unusable("it was resolved in the future; a time without a zone is taken for UTC")
    return fired, resolved


def _moment(row: Row, names: tuple[str, ...]) -> int | None:
    for name in names:
        if row.get(name) is not None:
            moment = moment_of(row[name])
            if moment is None or moment < 0:
                raise Unusable(f"{name} {shown(row[name])} isn't a time since 1970, such as 2026-01-31T12:00:00Z")
            return moment
    return None


def _add_value(alert: PastAlert, row: Row) -> Iterator[str]:
    value = _first(row, _VALUES)
    if value is None:
        return
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isfinite(number):
        alert.value = number
    else:
        yield f"its value {shown(value)} isn't a finite number, and stays behind"


def _add_acknowledgement(alert: PastAlert, row: Row, user_id: str, fired: int, now: int) -> Iterator[str]:
    given = row.get("acknowledged_at")
    if given is None:
        return
    time = moment_of(given)
    if time is None or not fired <= time <= now:
        yield f"acknowledged_at {shown(given)} isn't between when it fired and now: its acknowledgement stays behind"
        return
    # A tenant is one user: if it isn't said who it was, it was they.
    user = one_line(row.get("acknowledged_by")) or one_line(user_id)
    note = text_of(row.get("acknowledgement_note") or row.get("acknowledged_note"))
    acknowledged = Acknowledgement(user=user[:LONGEST_USER], time=to_timestamp(time), note=note[:LONGEST_SAID])
    alert.acknowledgement.CopyFrom(acknowledged)


def _first(row: Row, names: tuple[str, ...]) -> object:
    return next((row[name] for name in names if row.get(name) is not None), None)
