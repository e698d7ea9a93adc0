"""Kinds of values that settings have, and how a wrong one is refused: by its name, with what is accepted."""

import re
from collections.abc import Callable
from typing import Any

from environs import Env, EnvError, ValidationError, validate

from monitors.mesh.database_urls import check_database_url
from monitors.mesh.masking import SecretUrl


def _bounded(least: float, most: float, accepted: str) -> dict[str, Any]:
    """For a number within bounds, both included."""
    return {
        "validate": validate.Range(min=least, max=most, error=accepted),
        "error_messages": {"invalid": accepted},
    }


PORT = _bounded(0, 65535, "must be a port, 0 to 65535 (0 takes a free one)")
SECONDS = _bounded(0.05, 3600, "must be a number of seconds, 0.05 to 3600")
POLL = _bounded(0.2, 300, "must be a number of seconds, 0.2 to 300")
LATENESS = _bounded(0, 600, "must be a number of seconds, 0 to 600")
DAYS = _bounded(0.01, 3650, "must be a number of days, 0.01 to 3650")
COUNT = _bounded(1, 100_000_000, "must be a whole number, 1 to 100000000")
BIG_COUNT = _bounded(100_000, 100_000_000_000, "must be a whole number, 100000 to 100000000000")
GIGABYTES = _bounded(0.01, 1_000_000, "must be a number of gigabytes, 0.01 to 1000000")
CHART_SECONDS = _bounded(0, 10, "must be a number of seconds, 0 to 10 (0 for messages without charts)")
RATE = _bounded(0, 100_000, "must be a number of messages a second, 0 to 100000 (0 for any number)")
SHARE = _bounded(0, 1, "must be a share, 0 to 1, such as 0.05")
CONNECTION_COUNT = _bounded(2, 1000, "must be a whole number, 2 to 1000")


def _days_or_ever(least: int) -> dict[str, Any]:
    """For how long something is kept."""
    accepted = f"must be a number of days, {least} to 36500, or 0 for ever"

    def check(days: float) -> None:
        if days and not least <= days <= 36_500:
            raise ValidationError(accepted)

    return {"validate": check, "error_messages": {"invalid": accepted}}


KEPT_DAYS = _days_or_ever(1)
# As long as a cooldown may be, which is counted from the former alert, and as evaluators are told what people resolved.
ALERT_DAYS = _days_or_ever(7)

# A URL or a bare list of addresses is a name to gRPC, which it would look up for ever.
GRPC_TARGET = re.compile(r"(dns|ipv[46]|unix|xds):\S+|(\[[^\]\s]+\]|[^\s:,/\[\]]+):[0-9]{1,5}")
GRPC_TARGET_FORMS = (
    "host:port, such as 127.0.0.1:50051, dns:///rules:50051 for all addresses of a name, or "
    "ipv4:10.0.0.1:50051,10.0.0.2:50051 for several addresses"
)

TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
LOCAL_TENANT = "local"
"""The tenant of whoever runs the mesh."""
SHORTEST_SECRET = 32


def listed(env: Env, name: str, check: Callable[[str], object]) -> tuple[str, ...]:
    """What is given between commas, once each."""
    given: list[str] = env.list(name, [], validate=_each(check))
    return tuple(dict.fromkeys(part.strip() for part in given if part.strip()))


def _each(check: Callable[[str], object]) -> Callable[[list[str]], None]:
    def check_all(parts: list[str]) -> None:
        for part in parts:
            if part.strip():
                check(part.strip())

    return check_all


def check_tenant(name: str) -> None:
    """A tenant's name."""
    if not TENANT.fullmatch(name):
        raise ValidationError(f"{name!r} isn't a tenant: 1 to 40 letters, digits, `_`, `.` or `-`, such as `acme`")


def grpc_target(env: Env, name: str) -> str:
    """Where a service of the mesh is found; empty if nothing is named. Raises EnvError."""
    target: str = env.str(name, "")
    if target and not GRPC_TARGET.fullmatch(target):
        raise EnvError(f"{name} is {target[:100]!r}; it must be {GRPC_TARGET_FORMS}")
    return target


def check_secret(secret: str) -> None:
    """A secret; not a word of it is in the error."""
    if len(secret) < SHORTEST_SECRET:
        raise ValidationError(
            f"has a secret of fewer than {SHORTEST_SECRET} characters; make one with `openssl rand -hex 32`"
        )


def database_url(env: Env, name: str, default: SecretUrl) -> SecretUrl:
    """A database's URL. Raises EnvError, without the URL, which may hold a password."""
    url = env.str(name, "")
    if not url:
        return default
    try:
        check_database_url(url)
    except ValueError as error:
        raise EnvError(f"{name} {error}") from None
    return SecretUrl(url)
