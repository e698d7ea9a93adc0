"""The first product's tables, as far as they are taken over."""

from dataclasses import dataclass

from monitors.cli.failures import ExitCode, Failure
from monitors.cli.importing.old_alerts import OldAlert, old_alert
from monitors.cli.importing.old_rules import OldRule, old_rule, text_of
from monitors.mesh.errors import IdentityUnavailable
from monitors.mesh.identity.existing import ExistingDatabase


@dataclass(frozen=True)
class Source:
    """What the first product's database has."""

    rules: list[OldRule]
    """By user and id."""
    alerts: list[OldAlert]
    """By rule and id."""


def read_source(url: str, user_id: str) -> Source:
    """All rules and alerts, or those of a user. Raises Failure."""
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
    users = {each.id: each.user_id for each in rules}
    wanted = [each for each in rules if not user_id or each.user_id == user_id]
    # An alert is its rule's user's, and of one without a rule it's known only by itself whose it is.
    of_user = [
        each
        for each in map(old_alert, alerts)
        if not user_id or users.get(each.rule_id, text_of(each.row.get("user_id"))) == user_id
    ]
    return Source(
        sorted(wanted, key=lambda each: (each.user_id, each.id)),
        sorted(of_user, key=lambda each: (each.rule_id, each.id)),
    )
