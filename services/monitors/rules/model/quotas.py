"""What a tenant's tier allows of rules and keys."""

from monitors.mesh.quantities import format_duration
from monitors.mesh.quotas import Quotas
from monitors.rules.model.rule import Rule


def check_interval(rule: Rule, quotas: Quotas, current: Rule | None = None) -> None:
    """Raises QuotaExceeded if a rule is evaluated more often than the tier allows. `current` is the rule before a
    change: one that is left as it was may stay so, if the tier was another then."""
    if rule.interval >= quotas.interval or (current is not None and rule.interval == current.interval):
        return
    shortest = format_duration(quotas.interval)
    raise quotas.exceeded(
        "interval",
        shortest,
        f"rule.interval: {format_duration(rule.interval)} is shorter than the tier {quotas.tier!r} allows; send "
        f"{shortest} or more",
    )


def check_room(present: int, wanted: int, quotas: Quotas) -> None:
    """Raises QuotaExceeded if there would be more rules than the tier allows."""
    if present + wanted <= quotas.rules:
        return
    asked = f", and {wanted:,} more were asked for" if wanted > 1 else ""
    raise quotas.exceeded(
        "rules",
        str(quotas.rules),
        f"there are {present:,} rules already{asked}, and the tier {quotas.tier!r} allows {quotas.rules:,}; delete "
        "those that aren't needed",
    )


def check_room_for_key(present: int, quotas: Quotas) -> None:
    """Raises QuotaExceeded if there are as many keys already as the tier allows."""
    if present >= quotas.keys:
        raise quotas.exceeded(
            "keys",
            str(quotas.keys),
            f"there are {present:,} API keys already, and the tier {quotas.tier!r} allows {quotas.keys:,}; revoke "
            "those that aren't needed: `monitors keys list`, `monitors keys revoke`",
        )
