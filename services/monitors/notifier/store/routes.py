"""Routes as they are remembered."""

import json
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from monitors.mesh.errors import UnknownChannel, WrongState
from monitors.mesh.rows import Row
from monitors.notifier.model.routes import MOST, Route
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.policies import PlacedRows
from monitors.notifier.store.tables import ChannelRow, routes


def check_channels(session: Session, route: Route) -> None:
    """Raises UnknownChannel if it names one that there isn't. Until the transaction ends none of them is deleted."""
    names = select(ChannelRow.name).where(ChannelRow.tenant_id == route.tenant, ChannelRow.name.in_(route.channels))
    present = set(session.scalars(names.with_for_update(read=True)))
    for number, name in enumerate(route.channels):
        if name not in present:
            fix = "`monitors channels list` shows those that exist"
            raise UnknownChannel(f"route.channels[{number}]", f"there is no channel {name[:80]!r}; {fix}")


def check_unnamed(session: Session, tenant: str, channel: str) -> None:
    """Raises WrongState if routes name a channel, for what they hold for would be told to nobody without it."""
    naming = [repr(route.name) for route in ROWS.all_of(session, tenant) if channel in route.channels]
    if naming:
        which = f"the route {naming[0]} names" if len(naming) == 1 else f"the routes {', '.join(naming[:5])} name"
        raise WrongState(
            f"channel_id: {which} the channel {channel!r}, and what goes there would be told to nobody; let them name "
            "another one, or delete them, first"
        )


def _write(route: Route) -> dict[str, Any]:
    return {
        "position": route.position,
        "matchers": write_matchers(route.matchers),
        "channels": json.dumps(route.channels),
        "continues": route.continues,
    }


def _read(row: Row, common: dict[str, Any]) -> Route:
    channels = tuple(json.loads(row.channels))
    matchers = read_matchers(row.matchers)
    return Route(**common, position=row.position, matchers=matchers, channels=channels, continues=bool(row.continues))


ROWS = PlacedRows(Route, routes, MOST, "ListRoutes", _write, _read)
