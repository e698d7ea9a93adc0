"""Routes as they are remembered."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import UnknownChannel, WrongState
from monitors.mesh.rows import Row
from monitors.notifier.model.routes import MOST, Route, arranged
from monitors.notifier.store.matchers import read_matchers, write_matchers
from monitors.notifier.store.policies import Rows
from monitors.notifier.store.tables import ChannelRow, routes


class RouteRows(Rows[Route]):
    """Their places are 1, 2, 3…, whatever is made, moved and deleted."""

    order: ClassVar[Mapping[str, type]] = {"position": int, "id": str}

    def insert(self, session: Session, entry: Route, now: int) -> Route:
        """Remembers a new one, which takes its place. Raises AlreadyExists and QuotaExceeded."""
        return self._arrange(session, super().insert(session, entry, now))

    def update(self, session: Session, entry: Route) -> Route:
        """Remembers one as it is now, which takes its place. Raises AlreadyExists."""
        return self._arrange(session, super().update(session, entry))

    def delete(self, session: Session, entry: Route) -> None:
        """Forgets one; those behind it move up."""
        super().delete(session, entry)
        self._renumber(session, entry.tenant, self._locked(session, entry.tenant))

    def _arrange(self, session: Session, entry: Route) -> Route:
        others = [one for one in self._locked(session, entry.tenant) if one.id != entry.id]
        placed = arranged(others, entry)
        self._renumber(session, entry.tenant, placed)
        return next(one for one in placed if one.id == entry.id)

    def _locked(self, session: Session, tenant: str) -> list[Route]:
        """All in their order, which nobody else changes until the transaction ends."""
        query = select(routes).where(routes.c.tenant_id == tenant).order_by(routes.c.position, routes.c.id)
        return list(map(self.entry, session.execute(query.with_for_update())))

    def _renumber(self, session: Session, tenant: str, ordered: Sequence[Route]) -> None:
        for number, route in enumerate(ordered, 1):
            is_it = routes.c.tenant_id == tenant, routes.c.id == route.id, routes.c.position != number
            session.execute(update(routes).where(*is_it).values(position=number))


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


ROWS = RouteRows(Route, routes, MOST, "ListRoutes", _write, _read)
