"""Settings: embedded defaults, and a wrong value is refused with its variable's name."""

from pathlib import Path

import pytest

from monitors.mesh.config import BadSetting, PageSettings, SmtpSettings, load_settings
from monitors.mesh.masking import Secret


def test_the_defaults_need_nothing() -> None:
    settings = load_settings({"MONITORS_HOME": "/h"})
    assert (settings.grpc_port, settings.http_port, settings.mcp_port) == (50051, 8086, 9122)
    assert settings.key_file == Path("/h/key")
    assert settings.rules.database_url == "sqlite:////h/rules.db"
    assert settings.notifier.mailer is None


def test_beside_an_influxdb_the_endpoint_moves_out_of_its_way() -> None:
    assert load_settings({"INFLUXDB_URL": "http://influx:8086"}).http_port == 8087


@pytest.mark.parametrize(
    ("variable", "value", "accepted"),
    [
        ("MONITORS_GRPC_PORT", "99999", "0 to 65535"),
        ("MONITORS_HTTP_PORT", "http", "0 to 65535"),
        ("MONITORS_RETENTION_DAYS", "-1", "0.01 to 3650"),
        ("MONITORS_RETENTION_DAYS", "a week", "0.01 to 3650"),
        ("MONITORS_AUDIT_DAYS", "0.5", "1 to 36500, or 0 for ever"),
        ("MONITORS_AUDIT_DAYS", "a year", "1 to 36500, or 0 for ever"),
        ("MONITORS_ALERT_DAYS", "6", "7 to 36500, or 0 for ever"),
        ("MONITORS_ALERT_DAYS", "90d", "7 to 36500, or 0 for ever"),
        ("MONITORS_DELIVERY_DAYS", "0.5", "1 to 36500, or 0 for ever"),
        ("MONITORS_DEAD_DELIVERY_DAYS", "-1", "1 to 36500, or 0 for ever"),
        ("MONITORS_HISTORY_GB", "0", "0.01 to 1000000"),
        ("MONITORS_HISTORY_GB", "10 GB", "0.01 to 1000000"),
        ("MONITORS_MAX_INSTANCES", "0", "1 to 100000000"),
        ("MONITORS_WINDOW_POINTS", "5", "100000 to 100000000000"),
        ("MONITORS_MAX_SERIES", "0", "1 to 100000000"),
        ("MONITORS_MAX_SERIES", "many", "1 to 100000000"),
        ("MONITORS_CHANNEL_PAGE_PORT", "99999", "0 to 65535"),
        ("MONITORS_CHANNEL_PAGE_URL", "http://alerts.example.org", "https URL"),
        ("MONITORS_CHANNEL_PAGE_URL", "alerts.example.org", "https URL"),
        ("MONITORS_CHANNEL_PAGE_URL", "https://alerts.example.org/?a=b", "https URL"),
        ("MONITORS_CHANNEL_PAGE_URL", "https://a:b@alerts.example.org", "https URL"),
        ("MONITORS_CHANNEL_PAGE_URL", "https://[::1", "https URL"),
        ("MONITORS_CHANNEL_PAGE_URL", "https://alerts.example.org/?", "https URL"),
        ("MONITORS_TENANTS", "acme, a b", "'a b'.*1 to 40 letters"),
        ("MONITORS_TENANTS", "../acme", "1 to 40 letters"),
        ("MONITORS_TENANTS", "acme=gold", "'gold'.*one of free, pro, enterprise, unlimited"),
        ("MONITORS_TENANTS", "acme=", "''.*one of free"),
        ("MONITORS_QUOTAS", "free.rules=50,gold.rules=7", "'gold.rules=7' isn't a quota.*free.rules=50"),
        ("MONITORS_DEFAULT_TIER", "gold", "free, pro, enterprise, unlimited"),
        ("MONITORS_POLL_SECONDS", "0", "0.05 to 3600"),
        ("REDIS_URL", "localhost:6379", "redis://.*rediss://.*unix://"),
        ("REDIS_URL", "http://redis:6379", "redis://"),
        ("REDIS_URL", "redis://", "redis://"),
        ("REDIS_URL", "redis://redis:port", "redis://"),
        ("REDIS_URL", "redis://redis:99999", "redis://"),
        ("REDIS_URL", "redis://redis/one", "redis://"),
        ("REDIS_URL", "redis://redis?socket_timeout=5", "redis://"),
        ("REDIS_URL", "redis://redis/0#x", "redis://"),
        ("REDIS_URL", "redis://:a/b@redis", "special character"),
        ("REDIS_URL", "redis://redis?ssl_ca_certs=/ca.pem", "redis://"),
        ("REDIS_URL", "unix://run/redis.sock", "unix:///"),
        ("MONITORS_BRIDGE_SECRET", "hunter2", "fewer than 32 characters"),
    ],
)
def test_a_wrong_value_is_refused_by_name_with_what_is_accepted(variable: str, value: str, accepted: str) -> None:
    with pytest.raises(BadSetting, match=f"{variable}.*{accepted}"):
        load_settings({variable: value})


def test_the_page_for_channels_is_for_this_machine_unless_it_has_an_https_address() -> None:
    everywhere = {"MONITORS_HOST": "0.0.0.0"}
    assert load_settings(everywhere).notifier.page == PageSettings("127.0.0.1", 0, "")
    public = {**everywhere, "MONITORS_CHANNEL_PAGE_URL": "https://alerts.example.org/m/"}
    assert load_settings(public).notifier.page == PageSettings("0.0.0.0", 0, "https://alerts.example.org/m")
    forwarded = {
        **everywhere, "MONITORS_CHANNEL_PAGE_URL": "http://localhost:9000", "MONITORS_CHANNEL_PAGE_PORT": "9001",
    }  # fmt: skip
    assert load_settings(forwarded).notifier.page == PageSettings("127.0.0.1", 9001, "http://localhost:9000")


def test_tenants_and_secrets_are_listed_with_commas() -> None:
    secrets = f"{'a' * 32}, {'b' * 32}"
    settings = load_settings({"MONITORS_TENANTS": "acme, globex,,acme", "MONITORS_BRIDGE_SECRET": secrets})
    assert settings.rules.tenants == ("acme", "globex")
    assert settings.rules.bridge_secrets == (Secret("a" * 32), Secret("b" * 32))
    assert load_settings({}).rules.bridge_secrets == ()


def test_a_tenant_may_be_given_a_tier() -> None:
    rules = load_settings({"MONITORS_TENANTS": "acme=free, globex, initech = pro"}).rules
    assert rules.tenants == ("acme", "globex", "initech")
    assert [rules.tier_of(tenant) for tenant in rules.tenants] == ["free", "", "pro"]


def test_quotas_are_the_same_for_all_services() -> None:
    settings = load_settings({"MONITORS_QUOTAS": "free.channels=7, pro.rules=9", "MONITORS_DEFAULT_TIER": "free"})
    assert settings.quotas.of("").channels == 7
    assert settings.quotas.of("pro").rules == 9
    assert settings.rules.quotas == settings.notifier.quotas == settings.evaluator.quotas == settings.quotas


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://redis", "redis:6379"),
        ("redis://ann:hunter2@10.0.0.7:6380/3", "10.0.0.7:6380"),
        ("rediss://:hunter2@cache.example.org?ssl_ca_certs=/etc/ca.pem", "cache.example.org:6379"),
        ("redis://[::1]:7000/?db=2", "::1:7000"),
        ("unix:///run/redis/my%20redis.sock?db=1&password=hunter2", "/run/redis/my redis.sock"),
    ],
)
def test_a_redis_is_named_without_its_password(url: str, place: str) -> None:
    redis = load_settings({"REDIS_URL": url}).redis
    assert redis is not None
    assert redis.place == place
    assert "hunter2" not in f"{redis} {redis!r}"
    assert load_settings({}).redis is None


def test_secrets_are_not_shown() -> None:
    databases = ("DATABASE_URL", "MONITORS_NOTIFIER_DATABASE_URL")
    secrets = {
        "SMTP_PASSWORD": "hunter2",
        "MONITORS_SERVICE_TOKEN": "hunter3",
        "MONITORS_BRIDGE_SECRET": "hunter" * 6,
        "INFLUXDB_URL": "https://ann:hunter4@example.org/x",
        **dict.fromkeys(databases, "mysql+pymysql://ann:hunter4@example.org/x"),
    }
    settings = load_settings({"SMTP_HOST": "mail", **secrets})
    assert isinstance(settings.notifier.mailer, SmtpSettings)
    assert settings.notifier.mailer.port == 587
    assert "hunter" not in repr(settings)
    with pytest.raises(BadSetting) as raised:
        load_settings({"MONITORS_BRIDGE_SECRET": "hunter2"})
    assert "hunter" not in str(raised.value)
    with pytest.raises(BadSetting) as raised:
        load_settings({"REDIS_URL": "redis://:hunter2/x@redis"})
    assert "hunter" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("mysql://u:canary@db/monitors", "names no driver"),
        ("postgresql://u:canary@db/monitors", "is of no kind"),
        ("mysql+pymysql://u:canary@db", "names no database"),
        ("mysql+pymysql://u:canary@db/", "names no database"),
        ("mysql+pymysql://db/monitors", "names no user"),
        ("mysql+pymysql://u:can/ary@db/monitors", "can't be read"),
        ("mysql+pymysql://u:can@ary@db/monitors", "has more than one `@`"),
        ("mysql+pymysql://u:canary#@db/monitors", "can't be read"),
        ("mysql+pymysql://u:canary@db/monitors?charset=latin1", "has a parameter other than"),
        ("sqlite:///", "it must be"),
        ("canary", "is of no kind"),
    ],
)
@pytest.mark.parametrize("variable", ["DATABASE_URL", "MONITORS_NOTIFIER_DATABASE_URL"])
def test_a_wrong_database_is_refused_by_its_variable_and_not_shown(variable: str, url: str, problem: str) -> None:
    with pytest.raises(BadSetting, match=rf"{variable} .*{problem}.*mysql\+pymysql://USER") as raised:
        load_settings({variable: url})
    assert "ary" not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////var/lib/monitors/rules.db",
        "mysql+pymysql://u:p%40ss@db:3306/monitors",
        "mariadb+pymysql://u@db/monitors?ssl_ca=/ca.pem",
        "mysql+pymysql://u@/monitors?unix_socket=/run/mysqld/mysqld.sock",
    ],
)
def test_a_right_one_is_taken_as_it_is(url: str) -> None:
    assert load_settings({"DATABASE_URL": url}).rules.database_url == url


def test_on_a_server_the_services_share_a_database_unless_they_are_told_otherwise() -> None:
    url = "mysql+pymysql://u:p@db/monitors"
    assert load_settings({"DATABASE_URL": url}).notifier.database_url == url
    other = load_settings({"DATABASE_URL": url, "MONITORS_NOTIFIER_DATABASE_URL": "sqlite:////n.db"})
    assert other.notifier.database_url == "sqlite:////n.db"
    assert load_settings({"MONITORS_HOME": "/h"}).notifier.database_url == "sqlite:////h/notifier.db"


def test_points_are_kept_in_a_file() -> None:
    with pytest.raises(BadSetting, match="MONITORS_SAMPLES_URL must be sqlite"):
        load_settings({"MONITORS_SAMPLES_URL": "mysql+pymysql://u:p@db/samples"})


@pytest.mark.parametrize("count", ["1", "many"])
def test_the_number_of_connections_is_checked(count: str) -> None:
    with pytest.raises(BadSetting, match=r"MONITORS_DATABASE_CONNECTIONS.*2 to 1000"):
        load_settings({"MONITORS_DATABASE_CONNECTIONS": count})


@pytest.mark.parametrize(
    "target", ["http://rules:50051", "rules:50051,other:50051", "rules", "rules:", "127.0.0.1 :50051"]
)
def test_an_address_of_rule_service_that_grpc_cant_use_is_refused_with_the_forms_that_it_can(target: str) -> None:
    with pytest.raises(BadSetting, match=r"MONITORS_RULES_ADDRESS .*dns:///rules:50051.*ipv4:10\.0\.0\.1:50051,10"):
        load_settings({"MONITORS_RULES_ADDRESS": target})


@pytest.mark.parametrize(
    "target",
    [
        "127.0.0.1:50051", "rules.mesh.svc:50051", "[::1]:50051", "dns:///rules:50051", "dns://10.0.0.2/rules:50051",
        "ipv4:10.0.0.1:50051,10.0.0.2:50051", "ipv6:[::1]:50051,[::2]:50051", "unix:/run/rules.sock", "",
    ],
)  # fmt: skip
def test_each_form_of_address_that_grpc_knows_is_taken(target: str) -> None:
    assert load_settings({"MONITORS_RULES_ADDRESS": target}).rules_address == target
