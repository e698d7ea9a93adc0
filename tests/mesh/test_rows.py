"""Rows that are inserted at once are what they are one by one."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Column, Engine, Integer, LargeBinary, MetaData, String, Table, create_engine, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from monitors.mesh.rows import insert_rows

TABLE = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("name", String(9)),
    Column("data", LargeBinary),
)


@pytest.fixture
def engine() -> Iterator[Engine]:
    one = create_engine("sqlite://")
    TABLE.create(one)
    yield one
    one.dispose()


def test_columns_may_come_in_any_order_and_some_may_be_missing(engine: Engine) -> None:
    with Session(engine) as session:
        insert_rows(session, TABLE, ("data", "id", "name"), [(b"a", 1, "ü"), (b"", 2, "?")])
        insert_rows(session, TABLE, ("name", "id"), iter([("c", 3)]))
        insert_rows(session, TABLE, ("id",), [])
        assert session.execute(select(TABLE).order_by(TABLE.c.id)).all() == [
            (1, "ü", b"a"),
            (2, "?", b""),
            (3, "c", None),
        ]


def test_a_conflict_is_told_as_sqlalchemy_tells_it(engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(IntegrityError):
        insert_rows(session, TABLE, ("id",), [(1,), (1,)])
