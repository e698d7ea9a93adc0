"""What may be set about who says who somebody is."""

import pytest

from monitors.mesh.config import BadSetting, load_settings


@pytest.mark.parametrize(
    ("environment", "told"),
    [
        ({"JWT_SECRET": "x"}, "IDENTITY_REDIS_URL nor IDENTITY_DATABASE_URL"),
        ({"IDENTITY_DATABASE_URL": "mysql://u:geheim@h/d"}, r"mysql\+pymysql://"),
        ({"IDENTITY_REDIS_URL": "http://u:geheim@h"}, "IDENTITY_REDIS_URL must be"),
        ({"IDENTITY_PERMISSIONS": "viewer=rules:fly"}, "permission=scope"),
        ({"IDENTITY_PERMISSIONS": "viewer"}, "permission=scope"),
        ({"OIDC_AUDIENCE": "x"}, "OIDC_ISSUER isn't"),
        ({"OIDC_ISSUER": "https://i.example.org"}, "OIDC_AUDIENCE isn't set"),
        ({"OIDC_ISSUER": "http://i.example.org", "OIDC_AUDIENCE": "x"}, "OIDC_ISSUER must be a URL with https"),
        (
            {"OIDC_ISSUER": "https://i", "OIDC_AUDIENCE": "x", "OIDC_TENANT": "a", "OIDC_TENANT_CLAIM": "b"},
            "both set",
        ),
        ({"MONITORS_KEY_PEPPER": "geheim"}, "MONITORS_KEY_PEPPER"),
        ({"MONITORS_TAKE_BARE_KEYS": "false"}, "MONITORS_KEY_PEPPER isn.t set"),
    ],
)
def test_a_wrong_setting_of_an_identity_is_refused_with_its_name(environment: dict[str, str], told: str) -> None:
    with pytest.raises(BadSetting, match=told) as refused:
        load_settings(environment)
    assert "geheim" not in str(refused.value)


def test_identities_are_read() -> None:
    identity = load_settings(
        {
            "JWT_SECRET": "a secret",
            "REDIS_URL": "redis://r",
            "IDENTITY_DATABASE_URL": "mysql+pymysql://u:p@h/users",
            "IDENTITY_PERMISSIONS": "alerts.manage=rules:write+alerts:write, *=rules:read",
            "OIDC_ISSUER": "https://issuer.example.org/",
            "OIDC_AUDIENCE": "mesh",
        }
    ).rules.identity
    assert identity.sessions
    assert identity.oidc
    assert "".join(identity.sessions.redis_url) == "redis://r"
    assert identity.sessions.permissions == {"alerts.manage": ("rules:write", "alerts:write"), "*": ("rules:read",)}
    assert (identity.oidc.audience, identity.oidc.tenant_claim) == ("mesh", "tenant")
    assert "a secret" not in repr(identity)
    assert load_settings({}).rules.identity.sessions is None
