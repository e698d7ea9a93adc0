"""A row of the first product's `alert_rules`, and what becomes of it.

alert_rules(id, user_id, monitor_id, name, condition, severity, cooldown_minutes, is_active, …)
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitors.mesh.identity.existing import Row, is_true, tenant_of_user
from monitors.mesh.times import MINUTE, to_duration
from monitors.v1.rule_pb2 import Rule, Severity

NAMESPACE = "imported"
LONGEST_TITLE = 200
# What other products call them is understood too.
_SEVERITIES: Mapping[str, Severity.ValueType] = {
    "low": Severity.SEVERITY_LOW,
    "info": Severity.SEVERITY_LOW,
    "medium": Severity.SEVERITY_MEDIUM,
    "warning": Severity.SEVERITY_MEDIUM,
    "high": Severity.SEVERITY_HIGH,
    "error": Severity.SEVERITY_HIGH,
    "critical": Severity.SEVERITY_CRITICAL,
    "": Severity.SEVERITY_UNSPECIFIED,
}
_PLAIN_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
_CHANNEL_COLUMNS = ("notification_channels", "channels", "notify")


class Unusable(Exception):
    """A row can't be taken over. The message says why, and what would help."""


@dataclass(frozen=True)
class OldRule:
    """A row of `alert_rules`."""

    id: str
    user_id: str
    title: str
    row: Row

    @property
    def tenant(self) -> str:
        """Whose it becomes."""
        return tenant_of_user(self.user_id)

    @property
    def key(self) -> str:
        """The name by which a rule that was taken over is found again: `imported/17`."""
        return key_of(self.id)

    @property
    def warnings(self) -> list[str]:
        """What isn't taken over of it."""
        named = next((self.row[name] for name in _CHANNEL_COLUMNS if self.row.get(name)), None)
        if named in (None, "[]", "null", "{}"):
            return []
        return [f"its notification channels {shown(named)} stay behind: it tells the default channels of its tenant"]


def key_of(identifier: str) -> str:
    """The name here of a row with this id."""
    if _PLAIN_ID.fullmatch(identifier):
        return f"{NAMESPACE}/{identifier}"
    return f"{NAMESPACE}/sha256-{hashlib.sha256(identifier.encode()).hexdigest()[:32]}"


def shown(value: object) -> str:
    """A value of a row in a message, cut to a line."""
    text = " ".join(str(value).split())
    return repr(text if len(text) <= 100 else f"{text[:100]}…")


def rule_of(old: OldRule) -> Rule:
    """The rule that a row becomes. Raises Unusable; the rest is checked by the mesh."""
    row = old.row
    if not old.user_id:
        raise Unusable("user_id is empty, so it's nobody's")
    rule = Rule(
        key=old.key,
        title=old.title,
        monitor_id=text_of(row.get("monitor_id")),
        condition_text=_condition(row.get("condition")),
        severity=severity_of(row.get("severity")),
        enabled=row.get("is_active") is None or is_true(row["is_active"]),
    )
    minutes = row.get("cooldown_minutes")
    if minutes is not None:
        rule.cooldown.CopyFrom(to_duration(_minutes(minutes)))
    return rule


def _condition(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    text = json.dumps(value) if isinstance(value, dict) else text_of(value)
    if not text.strip():
        raise Unusable("condition is empty")
    return text


def severity_of(value: object) -> Severity.ValueType:
    """What a row says of how bad it is; unspecified if it says nothing. Raises Unusable."""
    severity = _SEVERITIES.get(text_of(value).strip().lower())
    if severity is None:
        raise Unusable(f"severity {shown(value)} is none of {', '.join(filter(None, _SEVERITIES))}")
    return severity


def _minutes(value: Any) -> int:
    try:
        minutes = float(value)
    except (TypeError, ValueError):
        minutes = -1.0
    if not 0 <= minutes <= 7 * 24 * 60:
        raise Unusable(f"cooldown_minutes {shown(value)} isn't a number of minutes, 0 to 10080 (7 days)")
    return int(minutes * MINUTE)


def text_of(value: object) -> str:
    """A value of a row as text, empty if there is none."""
    return "" if value is None else str(value)


def old_rule(row: Row) -> OldRule:
    """A row of `alert_rules`, of which every column but the id may be missing."""
    identifier = text_of(row.get("id"))
    title = one_line(row.get("name") or row.get("title")) or f"Rule {identifier}"[:LONGEST_TITLE]
    return OldRule(identifier, text_of(row.get("user_id")), title, row)


def one_line(value: object) -> str:
    """A value of a row as a title: one line, cut where it's too long; empty if there is none."""
    line = " ".join(text_of(value).split())
    return "".join(character for character in line if character.isprintable())[:LONGEST_TITLE]
