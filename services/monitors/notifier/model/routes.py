"""Routes: where alerts are told whose rules name no channel."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from monitors.mesh.errors import InvalidField, InvalidFields
from monitors.notifier.model.matching import Matcher, all_hold, check_matchers
from monitors.notifier.model.policies import Placed, check_name, check_position

MOST_CHANNELS = 20
MOST = 100
"""How many a tenant may have."""


@dataclass(frozen=True)
class Route(Placed):
    """Tells its channels of what its matchers hold for. Unless it `continues`, those behind it don't count."""

    noun: ClassVar[str] = "route"
    nouns: ClassVar[str] = "routes"

    matchers: tuple[Matcher, ...]
    channels: tuple[str, ...]
    continues: bool = False


def routes_of(facts: Mapping[str, str], routes: Iterable[Route]) -> list[Route]:
    """Those of the routes, which stand in their order, by which an alert goes."""
    found = []
    for route in routes:
        if all_hold(route.matchers, facts):
            found.append(route)
            if not route.continues:
                break
    return found


def channels_of(routes: Iterable[Route]) -> list[str]:
    """The channels of routes, each once."""
    return list(dict.fromkeys(name for route in routes for name in route.channels))


def check(before: Route | None, route: Route, now: int) -> None:
    """Raises InvalidFields if there can't be such a route."""
    errors = check_name(route.name, "route.name") + check_matchers(route.matchers, "route.matchers")
    errors += check_position(route.position, "route.position")
    if not 1 <= len(route.channels) <= MOST_CHANNELS:
        errors.append(
            InvalidField(
                "route.channels",
                f"there are {len(route.channels)}; send the names of 1 to {MOST_CHANNELS}. To tell nobody, make a mute "
                "timing for all hours",
            )
        )
    if errors:
        raise InvalidFields.of(errors)
