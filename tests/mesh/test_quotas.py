"""Tiers and what they allow."""

from monitors.mesh.quotas import DEFAULTS, Tiers


def test_a_higher_tier_allows_no_less() -> None:
    free, pro, enterprise, unlimited = (DEFAULTS[name] for name in ("free", "pro", "enterprise", "unlimited"))
    for lower, higher in ((free, pro), (pro, enterprise), (enterprise, unlimited)):
        assert lower.rules < higher.rules
        assert lower.interval > higher.interval
        assert lower.channels <= higher.channels
        assert lower.requests < (higher.requests or float("inf"))


def test_a_tenant_without_a_tier_has_the_operators_and_an_unknown_one_the_smallest() -> None:
    assert Tiers().of("") == DEFAULTS["enterprise"]
    assert Tiers(default="pro").of("") == DEFAULTS["pro"]
    assert Tiers().of("platinum") == DEFAULTS["free"]
