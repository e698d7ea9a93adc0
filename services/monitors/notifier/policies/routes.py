"""Routes between the contract's messages and the model."""

from typing import Any

from monitors.notifier.matchers import from_matchers, read_matchers
from monitors.notifier.model.routes import Route, check
from monitors.notifier.policies.kinds import Kind, Making, Part
from monitors.notifier.store.routes import ROWS, check_channels
from monitors.v1 import notification_pb2 as pb

PARTS = {
    "name": Part("name", lambda sent: sent.name),
    "position": Part("position", lambda sent: sent.position),
    "matchers": Part("matchers", lambda sent: read_matchers(sent.matchers, "route.matchers")),
    "channels": Part("channels", lambda sent: tuple(dict.fromkeys(sent.channels))),
    "continues": Part("continues", lambda sent: sent.continues),
}


def _make(making: Making, parts: dict[str, Any]) -> Route:
    return Route(making.tenant, making.id, **parts, create_time=making.now)


def show(route: Route) -> pb.Route:
    """The message."""
    return pb.Route(
        id=route.id,
        name=route.name,
        position=route.position,
        matchers=from_matchers(route.matchers),
        channels=route.channels,
        continues=route.continues,
        etag=route.etag,
    )


ROUTES = Kind("route", ROWS, PARTS, _make, check, show, check_within=check_channels)
