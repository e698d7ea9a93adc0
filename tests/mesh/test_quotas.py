"""Tiers and what they allow."""

from dataclasses import replace

import pytest

from monitors.mesh.quotas import DEFAULTS, Tiers, changed_quotas
from monitors.mesh.times import SECOND


def test_a_higher_tier_allows_no_less() -> None:
    free, pro, enterprise, unlimited = (DEFAULTS[name] for name in ("free", "pro", "enterprise", "unlimited"))
    for lower, higher in ((free, pro), (pro, enterprise), (enterprise, unlimited)):
        assert lower.rules < higher.rules
        assert lower.interval > higher.interval
        assert lower.channels <= higher.channels
        assert lower.keys < higher.keys
        assert lower.requests < (higher.requests or float("inf"))
        assert (lower.messages or float("inf")) <= (higher.messages or float("inf"))
        assert (lower.mails or float("inf")) <= (higher.mails or float("inf"))


def test_a_tenant_without_a_tier_has_the_operators_and_an_unknown_one_the_smallest() -> None:
    assert Tiers().of("") == DEFAULTS["enterprise"]
    assert Tiers(default="pro").of("") == DEFAULTS["pro"]
    assert Tiers().of("platinum") == DEFAULTS["free"]


def test_an_operator_changes_single_quotas() -> None:
    changed = changed_quotas(["free.rules=50", " pro.interval = 5 ", "enterprise.requests=0"])
    assert changed["free"] == replace(DEFAULTS["free"], rules=50)
    assert changed["pro"] == replace(DEFAULTS["pro"], interval=5 * SECOND)
    assert changed["enterprise"].requests == 0
    assert changed["unlimited"] == DEFAULTS["unlimited"]


@pytest.mark.parametrize(
    "change",
    ["free", "free.rules", "gold.rules=1", "free.series=1", "free.rules=-1", "free.rules=many", "free.rules=1e3",
     "free.rules=10000000000", "=", "free.tier=1"],
)  # fmt: skip
def test_what_isnt_a_quota_is_refused(change: str) -> None:
    with pytest.raises(ValueError, match=r"isn't a quota|too large"):
        changed_quotas([change])
