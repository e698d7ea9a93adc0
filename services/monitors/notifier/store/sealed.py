"""Everything that is sealed: where it lies, under which key, and how it gets under another one."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Row, and_, func, literal_column, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monitors.mesh.secrets import HEADER_BYTES, SealBroken, Sealer
from monitors.mesh.tenancy import crosses_tenants
from monitors.notifier.store import channels, requests
from monitors.notifier.store.tables import ChannelRow, RequestRow, SealedKeyRow

FINGERPRINTS = "fingerprints"


@dataclass(frozen=True)
class Place:
    """A table with a column `sealed`: its key, and the associated data of a row of that key."""

    table: Any
    key: tuple[str, ...]
    associated: Callable[..., str]

    @property
    def name(self) -> str:
        """What people call the table."""
        name: str = self.table.__tablename__
        return name.removeprefix("notifier_")

    @property
    def columns(self) -> list[Any]:
        """The columns of the key."""
        return [getattr(self.table, name) for name in self.key]


def _associated(name: str) -> str:
    return f"|sealed_keys|{name}|sealed"


PLACES = (
    Place(ChannelRow, ("tenant_id", "id"), channels.associated),
    Place(RequestRow, ("tenant_id", "method", "request_id"), requests.associated),
    Place(SealedKeyRow, ("name",), _associated),
)


@dataclass(frozen=True)
class Batch:
    """What became of some rows. `last` is the key of the last one, None if there was none."""

    last: tuple[str, ...] | None
    resealed: int = 0
    lost: int = 0


@crosses_tenants("what is sealed is sealed with the same master keys for all tenants")
def reseal(session: Session, sealer: Sealer, place: Place, after: tuple[str, ...] | None, limit: int) -> Batch:
    """Gets the next rows under the key that seals now. One that no key opens stays as it is, and is counted as lost."""
    found = _rows(session, place, after, limit)
    resealed = lost = 0
    for row in found:
        key, sealed = tuple(row)[:-1], bytes(row.sealed)
        if sealer.is_current(sealed):
            continue
        try:
            opened = sealer.open(sealed, place.associated(*key))
        except SealBroken:
            lost += 1
            continue
        # Whoever has changed the row meanwhile has sealed it anew.
        conditions = [column == part for column, part in zip(place.columns, key, strict=True)]
        statement = update(place.table).where(*conditions, place.table.sealed == sealed)
        changed = session.execute(statement.values(sealed=sealer.seal(opened, place.associated(*key))))
        resealed += changed.rowcount  # type: ignore[attr-defined]
    return Batch(tuple(found[-1])[:-1] if found else None, resealed, lost)


def _rows(session: Session, place: Place, after: tuple[str, ...] | None, limit: int) -> list[Row[*tuple[Any, ...]]]:
    statement = select(*place.columns, place.table.sealed).order_by(*place.columns).limit(limit)
    if after:
        statement = statement.where(_beyond(place.columns, after))
    return list(session.execute(statement))


def _beyond(columns: Sequence[Any], key: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row comes after a key; written out, since not every database finds pairs of values by an index."""
    pairs = list(zip(columns, key, strict=True))
    return or_(
        *(
            and_(*(column == part for column, part in pairs[:depth]), pairs[depth][0] > pairs[depth][1])
            for depth in range(len(pairs))
        )
    )


@crosses_tenants("what is sealed is sealed with the same master keys for all tenants")
def standing(session: Session, sealer: Sealer) -> dict[str, Mapping[str, int]]:
    """How many rows stand under which key, by the names of tables and keys."""
    found: dict[str, Mapping[str, int]] = {}
    for place in PLACES:
        header = func.substr(place.table.sealed, 1, literal_column(str(HEADER_BYTES)))
        counted: Counter[str] = Counter()
        for head, count in session.execute(select(header, func.count()).group_by(header)):
            counted[sealer.key_name_of(bytes(head))] += count
        found[place.name] = counted
    return found


def is_ours(session: Session, sealer: Sealer) -> bool:
    """Whether the keys that there are open what was sealed first in this database; so too if nothing was yet."""
    row = session.get(SealedKeyRow, FINGERPRINTS)
    try:
        return row is None or bool(sealer.open(row.sealed, _associated(FINGERPRINTS)))
    except SealBroken:
        return False


def keep_fingerprint_key(session: Session, sealer: Sealer) -> bytes:
    """The key that fingerprints are made with, as it was first of all. It's kept, sealed like everything else, so that
    fingerprints stay the same when the master keys are others; if it can't be opened any more, another one is."""
    bound_to = _associated(FINGERPRINTS)
    sealed = sealer.seal(sealer.fingerprint_key, bound_to)
    row = session.get(SealedKeyRow, FINGERPRINTS)
    if row is None:
        try:
            with session.begin_nested():
                session.add(SealedKeyRow(name=FINGERPRINTS, sealed=sealed))
        except IntegrityError:
            # Another process was first, and its key is the one.
            row = session.get_one(SealedKeyRow, FINGERPRINTS)
    if row is None:
        return sealer.fingerprint_key
    try:
        return sealer.open(row.sealed, bound_to)
    except SealBroken:
        row.sealed = sealed
        return sealer.fingerprint_key
