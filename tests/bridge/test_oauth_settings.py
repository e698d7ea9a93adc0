"""What the bridge must be told to take OAuth tokens: each mistake is named, with its fix, and no secret is shown."""

from typing import Any

import pytest

from monitors.bridge.main import main
from monitors.bridge.oauth.settings import load_oauth_settings
from monitors.bridge.settings import BadSetting

SECRET = "0123456789abcdef" * 2
COMPLETE = {
    "MONITORS_MCP_ISSUER": "https://id.example.org/",
    "MONITORS_MCP_RESOURCE_URL": "https://alerts.example.org/mcp",
    "MONITORS_BRIDGE_SECRET": SECRET,
}


def test_three_settings_are_enough() -> None:
    settings = load_oauth_settings(COMPLETE)
    assert settings
    assert settings.issuer == "https://id.example.org/"
    assert (settings.tenant_claim, settings.tenant, settings.accepts_keys) == ("tenant", "", False)
    assert settings.resource_host == "alerts.example.org"
    other_port = load_oauth_settings(COMPLETE | {"MONITORS_MCP_RESOURCE_URL": "https://[2001:db8::1]:8443/mcp"})
    assert other_port
    assert other_port.resource_host == "[2001:db8::1]"
    assert SECRET not in repr(settings)


def test_without_an_issuer_there_is_no_oauth() -> None:
    assert load_oauth_settings({"MONITORS_BRIDGE_SECRET": SECRET}) is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"MONITORS_MCP_ISSUER": ""}, "MONITORS_MCP_RESOURCE_URL is set, but MONITORS_MCP_ISSUER isn't"),
        ({"MONITORS_MCP_ISSUER": "http://id.example.org"}, "MONITORS_MCP_ISSUER: 'http://id.example.org'"),
        ({"MONITORS_MCP_ISSUER": "id.example.org"}, "with https"),
        ({"MONITORS_MCP_ISSUER": "https://[::1"}, "with https"),
        ({"MONITORS_MCP_RESOURCE_URL": ""}, "MONITORS_MCP_RESOURCE_URL isn't set"),
        ({"MONITORS_MCP_RESOURCE_URL": "https://a.example/mcp?x=1"}, "MONITORS_MCP_RESOURCE_URL: "),
        ({"MONITORS_MCP_RESOURCE_URL": "https://u:password@a.example/"}, "'a.example/'"),
        ({"MONITORS_MCP_JWKS_URL": "ftp://id.example.org/keys"}, "MONITORS_MCP_JWKS_URL: "),
        ({"MONITORS_BRIDGE_SECRET": ""}, "MONITORS_BRIDGE_SECRET isn't set"),
        ({"MONITORS_BRIDGE_SECRET": "too-short"}, "MONITORS_BRIDGE_SECRET has 9 characters"),
        ({"MONITORS_BRIDGE_SECRET": f"{SECRET},{SECRET}"}, "has a comma"),
        ({"MONITORS_MCP_TENANT": "local", "MONITORS_MCP_TENANT_CLAIM": "org"}, "are both set"),
        ({"MONITORS_MCP_TENANT": "a b"}, "MONITORS_MCP_TENANT: 'a b'"),
        ({"MONITORS_MCP_ACCEPT_KEYS": "maybe"}, "'maybe' is neither"),
    ],
)
def test_a_mistake_is_named_with_its_fix(changes: dict[str, str], told: str) -> None:
    with pytest.raises(BadSetting) as raised:
        load_oauth_settings(COMPLETE | changes)
    assert told in str(raised.value)
    for secret in (SECRET, "too-short", "password"):
        assert secret not in str(raised.value)


def test_the_command_ends_with_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[Any]) -> None:
    for name, value in (COMPLETE | {"MONITORS_BRIDGE_SECRET": "short"}).items():
        monkeypatch.setenv(name, value)
    assert main(["--http"]) == 2
    assert "openssl rand -hex 32" in capsys.readouterr().err
    monkeypatch.setenv("MONITORS_BRIDGE_SECRET", SECRET)
    monkeypatch.setenv("MONITORS_MCP_MAX_CLIENTS", "many")
    assert main(["--http"]) == 2
    assert "MONITORS_MCP_MAX_CLIENTS: 'many'" in capsys.readouterr().err
