"""The command against the real RuleService: the local key, conditions that it reads, filters that it understands."""

from monitors.cli.failures import ExitCode
from tests.cli.conftest import Command

CREATE = ("rules", "create", "--monitor", "mon_host", "--when")


def test_a_condition_is_echoed_in_its_canonical_text(local: Command) -> None:
    rule = local(*CREATE, "cpu_percent is above 90 for 2 minutes", "--title", "CPU is hot", "--json").document["rule"]
    assert (rule["condition"], rule["for"], rule["no_data"]) == ("cpu_percent > 90 for 2m", "2m", "keep")
    shown = local("rules", "show", rule["id"], "--json").document["rule"]
    assert shown["condition"] == "cpu_percent > 90 for 2m"


def test_a_field_that_does_not_exist_is_refused_with_what_there_is(local: Command) -> None:
    outcome = local(*CREATE, "cpu_procent > 90", "--title", "x", ok=False)
    assert outcome.code == ExitCode.INVALID
    assert "cpu_percent" in outcome.stderr
    assert outcome.stderr.count("\n") == 1


def test_titles_with_quotes_and_backslashes_are_found(local: Command) -> None:
    title = r'the "big" C:\disk is full'
    made = local(*CREATE, "cpu_percent > 1", "--title", title, "--json").document["rule"]
    found = local("rules", "list", "--title", '"big" C:\\disk', "--json").document
    assert [rule["id"] for rule in found["rules"]] == [made["id"]]
    assert local("rules", "list", "--monitor", "mon_host", "--state", "firing", "--json").document["total_count"] == 0


def test_an_update_is_checked_against_the_etag(local: Command) -> None:
    made = local(*CREATE, "cpu_percent > 1", "--title", "x", "--label", "team=web", "--json").document["rule"]
    changed = local("rules", "update", made["id"], "--when", "cpu_percent > 2", "--label", "tier=1", "--json").document
    assert changed["rule"]["labels"] == {"team": "web", "tier": "1"}
    assert changed["previous"]["condition"] == "cpu_percent > 1"
    stale = local("rules", "update", made["id"], "--severity", "low", "--etag", made["etag"], ok=False)
    assert stale.code == ExitCode.CONFLICT
    assert local("rules", "update", made["id"], "--snooze", "1h", "--json").document["rule"]["snooze_until"]
    unsnoozed = local("rules", "update", made["id"], "--unsnooze", "--disable", "--json").document["rule"]
    assert (unsnoozed["snooze_until"], unsnoozed["enabled"]) == (None, False)
    local("rules", "delete", made["id"], "--yes")
    assert local("rules", "show", made["id"], ok=False).code == ExitCode.NOT_FOUND


def test_a_preview_explains_and_saves_nothing(local: Command) -> None:
    before = local("rules", "list", "--json").document["total_count"]
    preview = local(
        "rules", "preview", "--monitor", "mon_host", "--when", "avg(cpu_percent, 1m) > 90 for 30s", "--json"
    )
    assert preview.document["rule"]["condition"] == "avg(cpu_percent, 1m) > 90 for 30s"
    assert preview.document["explanation"]
    assert local("rules", "list", "--json").document["total_count"] == before
    tried = local("rules", "preview", "--monitor", "mon_host", "--when", "cpu_percent > 1", "--since", "7d")
    assert "the evaluator can't be reached" in tried.stderr


def test_a_new_key_opens_what_its_scopes_say(local: Command) -> None:
    key = local("keys", "create", "--title", "reader", "--scope", "rules:read", "--expires", "1d").stdout.strip()
    assert local("rules", "list", MONITORS_KEY=key).code == 0
    refused = local("alerts", "list", ok=False, MONITORS_KEY=key)
    assert (refused.code, "alerts:read" in refused.stderr) == (ExitCode.UNAUTHENTICATED, True)


def test_alerts_and_monitors_are_listed(local: Command) -> None:
    assert local("alerts", "list", "--since", "2h", "--state", "firing", "--json").document["alerts"] == []
    assert [monitor["id"] for monitor in local("list", "--json").document["monitors"]] == ["mon_host"]
    assert local("alerts", "ack", "alert_000000000000", ok=False).code == ExitCode.NOT_FOUND


def test_without_a_notifier_there_is_no_link_for_a_channel(local: Command) -> None:
    refused = local("channels", "link", "ops", ok=False)
    assert (refused.code, "notifier service can't be reached" in refused.stderr) == (ExitCode.UNREACHABLE, True)
    assert local("channels", "link", "x" * 65, ok=False).code == ExitCode.INVALID


def test_a_key_is_made_shown_and_revoked(local: Command) -> None:
    made = local("keys", "create", "--title", "telegraf", "--json").document
    (listed,) = (key for key in local("keys", "list", "--json").document["keys"] if key["id"] == made["key_id"])
    assert (listed["title"], listed["revoke_time"]) == ("telegraf", None)
    assert made["key"] not in local("keys", "list").stdout
    assert "is revoked" in local("keys", "revoke", made["key_id"], "--yes").stdout
    assert "revoked just now" in local("keys", "list").stdout
    outcome = local("keys", "list", ok=False, MONITORS_KEY=made["key"])
    assert (outcome.code, "has been revoked" in outcome.stderr) == (5, True)
    outcome = local("keys", "revoke", "key_nothere", "--yes", ok=False)
    assert (outcome.code, "`monitors keys list`" in outcome.stderr) == (3, True)


def test_another_tenant_is_named_with_the_meshs_own_token_alone(local: Command) -> None:
    outcome = local("keys", "list", "--tenant", "acme", ok=False, MONITORS_SERVICE_TOKEN="")
    assert (outcome.code, "MONITORS_SERVICE_TOKEN" in outcome.stderr) == (2, True)
