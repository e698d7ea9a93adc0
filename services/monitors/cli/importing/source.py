"""The first product's tables, as far as they are taken over, and what becomes of a row.

alert_rules(id, user_id, monitor_id, name, condition, severity, cooldown_minutes, is_active, …)
alerts(id, status, …)
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from monitors.cli.failures import ExitCode, Failure
from monitors.mesh.errors import IdentityUnavailable
from monitors.mesh.identity.existing import ExistingDatabase, Row, is_true, tenant_of_user
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
_OVER = ("resolved", "closed")


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
        if _PLAIN_ID.fullmatch(self.id):
            return f"{NAMESPACE}/{self.id}"
        return f"{NAMESPACE}/sha256-{hashlib.sha256(self.id.encode()).hexdigest()[:32]}"

    @property
    def warnings(self) -> list[str]:
        """What isn't taken over of it."""
        named = next((self.row[name] for name in _CHANNEL_COLUMNS if self.row.get(name)), None)
        if named in (None, "[]", "null", "{}"):
            return []
        return [f"its notification channels {shown(named)} stay behind: it tells the default channels of its tenant"]


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
        monitor_id=_text(row.get("monitor_id")),
        condition_text=_condition(row.get("condition")),
        severity=_severity(row.get("severity")),
        enabled=row.get("is_active") is None or is_true(row["is_active"]),
    )
    minutes = row.get("cooldown_minutes")
    if minutes is not None:
        rule.cooldown.CopyFrom(to_duration(_minutes(minutes)))
    return rule


def _condition(value: object) -> str:
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    text = json.dumps(value) if isinstance(value, dict) else _text(value)
    if not text.strip():
        raise Unusable("condition is empty")
    return text


def _severity(value: object) -> Severity.ValueType:
    severity = _SEVERITIES.get(_text(value).strip().lower())
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


def _text(value: object) -> str:
    return "" if value is None else str(value)


@dataclass(frozen=True)
class Source:
    """What the first product's database has."""

    rules: list[OldRule]
    open_alerts: int
    past_alerts: int


def read_source(url: str, user_id: str) -> Source:
    """All rules, or those of a user, by their ids; and how many alerts there are. Raises Failure."""
    database = ExistingDatabase(url)
    try:
        tables = database.table_names()
        if "alert_rules" not in tables:
            raise Failure("the database has no table alert_rules; give the URL of the first product's", ExitCode.USAGE)
        rows = database.rows_of("alert_rules")
        alerts = database.rows_of("alerts") if "alerts" in tables else []
    except IdentityUnavailable:
        raise Failure(
            "the first product's database can't be read; check IDENTITY_DATABASE_URL and whether it runs",
            ExitCode.UNREACHABLE,
        ) from None
    finally:
        database.close()
    rules = [old_rule(row) for row in rows]
    past = sum(_is_over(row) for row in alerts)
    wanted = [each for each in rules if not user_id or each.user_id == user_id]
    return Source(sorted(wanted, key=lambda each: (each.user_id, each.id)), len(alerts) - past, past)


def old_rule(row: Row) -> OldRule:
    """A row of `alert_rules`, of which every column but the id may be missing."""
    identifier = _text(row.get("id"))
    name = " ".join(_text(row.get("name") or row.get("title")).split())
    title = "".join(character for character in name if character.isprintable())
    return OldRule(identifier, _text(row.get("user_id")), title[:LONGEST_TITLE] or f"Rule {identifier}"[:200], row)


def _is_over(row: Row) -> bool:
    return row.get("resolved_at") is not None or _text(row.get("status")).lower() in _OVER
