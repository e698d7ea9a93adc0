"""Rows that are inserted or changed at once are what they are one by one."""

from collections.abc import Iterator

import pytest
from sqlalchemy import (
    Column,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    func,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import DeclarativeBase, Session

from monitors.mesh.rows import change_rows, find_rows, insert_rows, read_rows, read_value, update_rows
from tests.servers.mariadb import shared_server

TABLE = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(9)),
    Column("data", LargeBinary),
)


@pytest.fixture(params=["sqlite", "mariadb"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "sqlite":
        one = create_engine("sqlite://")
    else:
        server = shared_server()
        one = create_engine(server.url(server.create_database()), paramstyle="format")
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


@pytest.mark.parametrize("count", [1, 3, 25])
def test_a_column_may_be_raised_in_all_rows(engine: Engine, count: int) -> None:
    with Session(engine) as session:
        rows = [(b"", number) for number in range(count)]
        insert_rows(session, TABLE, ("data", "id"), rows, raised=("id", 100))
        expected = [(100 + number, None, b"") for number in range(count)]
        assert session.execute(select(TABLE).order_by(TABLE.c.id)).all() == expected


def test_a_conflict_is_told_as_sqlalchemy_tells_it(engine: Engine) -> None:
    with Session(engine) as session, pytest.raises(IntegrityError):
        insert_rows(session, TABLE, ("id",), [(1,), (1,)])


def test_many_rows_are_changed_each_to_its_own_values(engine: Engine) -> None:
    count = 600
    with Session(engine) as session:
        insert_rows(session, TABLE, ("id", "name", "data"), [(number, "old", b"d") for number in range(count)])
        changes = [(number, f"n{number}" if number % 3 else None, bytes([number % 256])) for number in range(1, count)]
        update_rows(session, TABLE, ("id",), ("name", "data"), [*changes, (count + 1, "nobody", b"")])
        update_rows(session, TABLE, ("id", "name"), ("data",), [(1, "n1", b"%s"), (2, "another", b"never")])
        update_rows(session, TABLE, ("id",), ("name",), [])
        expected = [(0, "old", b"d"), (1, "n1", b"%s"), *changes[1:]]
        assert session.execute(select(TABLE).order_by(TABLE.c.id)).all() == expected


def test_what_many_rows_have_in_common_is_the_same_in_each(engine: Engine) -> None:
    count = 600
    with Session(engine) as session:
        insert_rows(session, TABLE, ("id", "data", "name"), [(number, b"d", "old") for number in range(count)])
        update_rows(session, TABLE, ("name", "id"), ("data",), [("old", number, b"%s") for number in range(2, count)])
        update_rows(session, TABLE, ("id",), ("data", "name"), [(0, None, "one %")])
        update_rows(session, TABLE, ("id",), ("name", "data"), [(1, "one", b"?")] * 2)
        expected = [(0, "one %", None), (1, "one", b"?"), *[(number, "old", b"%s") for number in range(2, count)]]
        assert session.execute(select(TABLE).order_by(TABLE.c.id)).all() == expected


@pytest.mark.parametrize("count", [1, 19, 20, 61, 99, 641])
def test_as_many_rows_as_there_may_be_are_inserted_and_changed_alike(engine: Engine, count: int) -> None:
    names = [None if number % 7 == 0 else f"n{number % 2}" for number in range(count)]
    with Session(engine) as session:
        insert_rows(session, TABLE, ("data", "id", "name"), [(b"?", number, names[number]) for number in range(count)])
        update_rows(session, TABLE, ("name", "id"), ("data",), [("n1", number, b"1") for number in range(count)])
        update_rows(session, TABLE, ("id",), ("data",), [(number, b"7") for number in range(0, count, 7)])
        expected = [(n, name, {None: b"7", "n0": b"?", "n1": b"1"}[name]) for n, name in enumerate(names)]
        changed = [(n, name, b"7" if n % 7 == 0 else data) for n, name, data in expected]
        assert session.execute(select(TABLE).order_by(TABLE.c.id)).all() == changed


def test_rows_that_have_everything_in_common_are_inserted_each(engine: Engine) -> None:
    table = Table("plain", MetaData(), Column("name", String(9)), Column("size", Integer))
    table.create(engine)
    with Session(engine) as session:
        insert_rows(session, table, ("name", "size"), [("same", 5)] * 25)
        assert session.execute(select(table)).all() == [("same", 5)] * 25


def test_a_conflict_among_many_rows_leaves_nothing_of_its_transaction(engine: Engine) -> None:
    rows = [(number % 590, "n", b"") for number in range(600)]
    with Session(engine) as session:
        with pytest.raises(IntegrityError), session.begin():
            insert_rows(session, TABLE, ("id", "name", "data"), rows)
        assert session.execute(select(TABLE)).all() == []


def test_rows_that_are_listed_are_found_between_other_parameters(engine: Engine) -> None:
    listed = (
        select(TABLE)
        .where(TABLE.c.id >= bindparam("least"), TABLE.c.name.in_(bindparam("names", expanding=True)))
        .where(TABLE.c.id <= bindparam("most"))
        .order_by(TABLE.c.id)
    )
    rows = [(number, f"%{number}s?", bytes([number])) for number in range(200)]
    with Session(engine) as session:
        insert_rows(session, TABLE, ("id", "name", "data"), rows)
        for names in ([], ["%7s?"], ["nobody"], [row[1] for row in rows]):
            found = find_rows(session, listed, {"most": 150, "least": 5}, "names", names)
            values = {"most": 150, "least": 5, "names": names}
            assert found == session.execute(listed, values).all()
            assert list(map(tuple, found)) == [row for row in rows[5:151] if row[1] in names]


def test_a_query_may_hold_values_and_lists_of_its_own_beside_its_parameters(engine: Engine) -> None:
    query = (
        select(TABLE.c.id, TABLE.c.name, func.length(TABLE.c.data).label("size"))
        .where(TABLE.c.name == "100%", TABLE.c.id.in_([1, 2, 3, 4]), TABLE.c.id.in_(bindparam("ids", expanding=True)))
        .where(TABLE.c.data != bindparam("not"))
        .order_by(TABLE.c.id.desc())
        .limit(bindparam("most"))
    )
    with Session(engine) as session:
        insert_rows(session, TABLE, ("id", "name", "data"), [(number, "100%", b"d" * number) for number in range(9)])
        for ids in ([2, 3, 7], [1, 2, 3, 4]):
            values = {"ids": ids, "not": b"dd", "most": 2}
            found = read_rows(session, query, values)
            assert found == [tuple(row) for row in session.execute(query, values)]
            assert [(row.id, row.name, row.size) for row in found] == found
        assert read_value(session, query, {"ids": [1, 3], "not": b"", "most": 5}) == 3
        assert read_value(session, query, {"ids": [8], "not": b"", "most": 5}) is None


def test_a_change_tells_how_many_rows_it_concerned(engine: Engine) -> None:
    change = update(TABLE).where(TABLE.c.id < bindparam("end"), TABLE.c.name == "old").values(name=bindparam("new"))
    with Session(engine) as session:
        insert_rows(session, TABLE, ("id", "name"), [(number, "old") for number in range(5)])
        assert change_rows(session, change, {"end": 3, "new": "n"}) == 3
        assert change_rows(session, change, {"end": 3, "new": "n"}) == 0
        assert [row.name for row in read_rows(session, select(TABLE).order_by(TABLE.c.id), {})] == [
            *"nnn",
            "old",
            "old",
        ]


def test_what_waits_to_be_written_is_read_as_well(engine: Engine) -> None:
    class Base(DeclarativeBase):
        metadata = TABLE.metadata

    class Thing(Base):
        __table__ = TABLE

    with Session(engine) as session:
        session.add(Thing(id=1, name="new"))
        assert read_value(session, select(TABLE.c.name), {}) == "new"


def test_a_connection_that_broke_is_told_as_lost_and_another_takes_its_place() -> None:
    server = shared_server()
    engine = create_engine(server.url(server.create_database()), paramstyle="format")
    with Session(engine) as session:
        number = read_value(session, select(func.connection_id()), {})
        server.execute(f"KILL {number}")
        with pytest.raises(DBAPIError) as lost:
            read_value(session, select(func.connection_id()), {})
        assert lost.value.connection_invalidated
    with Session(engine) as session:
        assert read_value(session, select(func.connection_id()), {}) != number
    engine.dispose()
