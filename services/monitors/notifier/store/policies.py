"""What tenants set of who is told of their alerts, as it's remembered: a table for each kind, all of one shape."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar, Generic

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, tuple_, update
from sqlalchemy.orm import Session

from monitors.mesh.errors import AlreadyExists, NotFound, QuotaExceeded
from monitors.mesh.rows import Row
from monitors.notifier.model.policies import E, P, arranged

MAKE_ROOM_SECONDS = 60.0
Position = Sequence[str | int]
"""The place of an entry in the list: its values of the columns by which that is ordered."""


class Rows(Generic[E]):
    """The rows of a kind of entries. A table with a column `name` has no name twice within a tenant."""

    order: ClassVar[Mapping[str, type]] = {"name": str}
    """The columns by which they're listed, and what those hold."""
    is_newest_first: ClassVar[bool] = False

    def __init__(
        self,
        kind: type[E],
        table: Table,
        most: int,
        listed_by: str,
        write: Callable[[E], dict[str, Any]],
        read: Callable[[Row, dict[str, Any]], E],
    ) -> None:
        """A tenant may have `most`; `listed_by` is the method that shows them. `write` gives the columns of its own,
        `read` makes an entry of a row and of the values that all kinds have."""
        self.kind = kind
        self._table = table
        self._most = most
        self._listed_by = listed_by
        self._write = write
        self._read = read

    def insert(self, session: Session, entry: E, now: int) -> E:
        """Remembers a new one, and gives it as it's remembered. Raises AlreadyExists and QuotaExceeded."""
        self._check_free(session, entry)
        count = select(func.count()).select_from(self._table).where(self._is_tenants(entry.tenant), *self._lasting(now))
        present = session.scalar(count) or 0
        if present >= self._most:
            raise QuotaExceeded(
                f"there are {present} {self.kind.nouns} already, and {self._most} is as many as may be; "
                "delete one that isn't needed",
                retry_after=MAKE_ROOM_SECONDS,
            )
        session.execute(insert(self._table).values(self._values(entry)))
        return entry

    def update(self, session: Session, entry: E) -> E:
        """Remembers one as it is now, and gives it as it's remembered. Raises AlreadyExists."""
        self._check_free(session, entry)
        session.execute(update(self._table).where(*self._is(entry.tenant, entry.id)).values(self._values(entry)))
        return entry

    def delete(self, session: Session, entry: E) -> None:
        """Forgets one."""
        session.execute(delete(self._table).where(*self._is(entry.tenant, entry.id)))

    def get(self, session: Session, tenant: str, id_or_name: str) -> E:
        """One of a tenant's, which nobody else changes until the transaction ends. Raises NotFound."""
        for column in (name for name in ("id", "name") if name in self._table.c):
            is_it = self._is_tenants(tenant), self._table.c[column] == id_or_name
            row = session.execute(select(self._table).where(*is_it).with_for_update()).first()
            if row is not None:
                return self.entry(row)
        raise NotFound(self.kind.noun, id_or_name[:64], f"{self._listed_by} shows those that there are")

    def all_of(self, session: Session, tenant: str) -> list[E]:
        """All of a tenant's in their order."""
        ordered = (self._table.c[name] for name in self.order)
        query = select(self._table).where(self._is_tenants(tenant)).order_by(*ordered)
        return list(map(self.entry, session.execute(query)))

    def list_page(
        self, session: Session, tenant: str, after: Position | None, limit: int, now: int, *, everything: bool
    ) -> list[E]:
        """At most `limit` in their order, after a place; unless `everything`, only those that aren't over."""
        query = select(self._table).where(self._is_tenants(tenant), *(() if everything else self._lasting(now)))
        columns = [self._table.c[name] for name in self.order]
        if after:
            place, there = tuple_(*columns), tuple_(*after)
            query = query.where(place < there if self.is_newest_first else place > there)
        ordered = (column.desc() if self.is_newest_first else column for column in columns)
        return list(map(self.entry, session.execute(query.order_by(*ordered).limit(limit))))

    def position_of(self, entry: E) -> list[str | int]:
        """Its place in the list."""
        values = self._values(entry)
        return [values[name] for name in self.order]

    def entry(self, row: Row) -> E:
        """The entry of a row."""
        common = {"tenant": row.tenant_id, "id": row.id, "create_time": row.created_at, "revision": row.revision}
        return self._read(row, common | ({"name": row.name} if "name" in self._table.c else {}))

    def _lasting(self, now: int) -> Iterable[ColumnElement[bool]]:
        """What holds for those that aren't over."""
        return ()

    def _is_tenants(self, tenant: str) -> ColumnElement[bool]:
        condition: ColumnElement[bool] = self._table.c.tenant_id == tenant
        return condition

    def _is(self, tenant: str, entry_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
        return self._is_tenants(tenant), self._table.c.id == entry_id

    def _values(self, entry: E) -> dict[str, Any]:
        common = {
            "tenant_id": entry.tenant, "id": entry.id, "created_at": entry.create_time, "revision": entry.revision,
        }  # fmt: skip
        return common | ({"name": entry.label} if "name" in self._table.c else {}) | self._write(entry)

    def _check_free(self, session: Session, entry: E) -> None:
        if "name" in self._table.c:
            same = select(self._table.c.id).where(
                self._is_tenants(entry.tenant), self._table.c.name == entry.label, self._table.c.id != entry.id
            )
            if session.scalar(same):
                raise AlreadyExists(self.kind.noun, entry.label)


class PlacedRows(Rows[P]):
    """Their places are 1, 2, 3…, whatever is made, moved and deleted."""

    order: ClassVar[Mapping[str, type]] = {"position": int, "id": str}

    def insert(self, session: Session, entry: P, now: int) -> P:
        """Remembers a new one, which takes its place. Raises AlreadyExists and QuotaExceeded."""
        return self._arrange(session, super().insert(session, entry, now))

    def update(self, session: Session, entry: P) -> P:
        """Remembers one as it is now, which takes its place. Raises AlreadyExists."""
        return self._arrange(session, super().update(session, entry))

    def delete(self, session: Session, entry: P) -> None:
        """Forgets one; those behind it move up."""
        super().delete(session, entry)
        self._renumber(session, entry.tenant, self._locked(session, entry.tenant))

    def _arrange(self, session: Session, entry: P) -> P:
        others = [one for one in self._locked(session, entry.tenant) if one.id != entry.id]
        placed = arranged(others, entry)
        self._renumber(session, entry.tenant, placed)
        return next(one for one in placed if one.id == entry.id)

    def _locked(self, session: Session, tenant: str) -> list[P]:
        """All in their order, which nobody else changes until the transaction ends."""
        query = select(self._table).where(self._is_tenants(tenant)).order_by(self._table.c.position, self._table.c.id)
        return list(map(self.entry, session.execute(query.with_for_update())))

    def _renumber(self, session: Session, tenant: str, ordered: Sequence[P]) -> None:
        for number, entry in enumerate(ordered, 1):
            is_it = *self._is(tenant, entry.id), self._table.c.position != number
            session.execute(update(self._table).where(*is_it).values(position=number))
