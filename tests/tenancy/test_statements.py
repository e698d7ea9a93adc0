"""Whatever way SQLAlchemy has to another tenant's rows: it's refused before it reaches the database."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import (
    Engine,
    String,
    and_,
    bindparam,
    cast,
    column,
    create_engine,
    delete,
    event,
    exists,
    func,
    insert,
    literal,
    literal_column,
    or_,
    select,
    table,
    text,
    tuple_,
    union,
    union_all,
    update,
)  # fmt: skip
from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased, contains_eager, joinedload, selectinload, subqueryload, undefer

from monitors.mesh.rows import change_rows, execute_rows, find_rows, insert_rows, read_rows, read_value
from monitors.mesh.tenancy import NotBound, TenantSession, across_tenants, crosses_tenants, guard, of_tenant
from tests.tenancy.tables import Base, Box, Loose, Thing, boxes, clock, fill, loose, things

Work = Callable[[TenantSession], Any]
OTHER = boxes.alias()


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    engine = create_engine("sqlite://", enable_from_linting=False)
    event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys=ON"))
    guard(engine)
    with TenantSession(engine, None) as session, session.begin(), across_tenants(session, "the scene is set"):
        Base.metadata.create_all(session.connection())
        fill(session)
    yield engine
    engine.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[TenantSession]:
    """A session of tenant a; nothing it does stays."""
    with TenantSession(engine, "a") as session, session.begin():
        session.connection()
        yield session
        session.rollback()


def engine_of(session: TenantSession) -> Engine:
    return session.connection().engine


def add(session: TenantSession, row: Base) -> None:
    session.add(row)
    session.flush()


BY_IDS = select(boxes.c.title).where(boxes.c.id.in_(bindparam("ids", expanding=True)))
READS: dict[str, Work] = {
    "core select of a table": lambda s: s.execute(select(boxes)).all(),
    "columns only": lambda s: s.scalars(select(boxes.c.title)).all(),
    "another tenant's": lambda s: s.execute(select(boxes).where(boxes.c.tenant_id == "b")).all(),
    "an id alone": lambda s: s.execute(select(boxes).where(boxes.c.id == "1")).all(),
    "or": lambda s: s.execute(select(boxes).where(or_(boxes.c.tenant_id == "a", boxes.c.id == "1"))).all(),
    "or true": lambda s: s.execute(select(boxes).where(boxes.c.tenant_id == "a", text("1 or 1"))).all(),
    "or true as a literal": lambda s: s.execute(
        select(boxes).where(and_(boxes.c.tenant_id == "a", literal_column("1 or 1")))
    ).all(),
    "not": lambda s: s.execute(select(boxes).where(~(boxes.c.tenant_id == "a"))).all(),
    "unequal": lambda s: s.execute(select(boxes).where(boxes.c.tenant_id != "a")).all(),
    "at least": lambda s: s.execute(select(boxes).where(boxes.c.tenant_id >= "a")).all(),
    "one of several": lambda s: s.execute(select(boxes).where(boxes.c.tenant_id.in_(["a", "b"]))).all(),
    "like": lambda s: s.execute(select(boxes).where(boxes.c.tenant_id.like("%"))).all(),
    "equal to itself": lambda s: s.execute(select(boxes).where(boxes.c.tenant_id == boxes.c.tenant_id)).all(),
    "a tuple": lambda s: s.execute(select(boxes).where(tuple_(boxes.c.tenant_id, boxes.c.id) == ("b", "1"))).all(),
    "having only": lambda s: s.execute(
        select(boxes.c.tenant_id, func.count()).group_by(boxes.c.tenant_id).having(boxes.c.tenant_id == "a")
    ).all(),
    "count": lambda s: s.scalar(select(func.count()).select_from(boxes)),
    "exists": lambda s: s.scalar(select(exists().where(boxes.c.id == "1"))),
    "a scalar subquery": lambda s: s.scalar(select(select(boxes.c.title).where(boxes.c.id == "1").scalar_subquery())),
    "in a subquery": lambda s: s.execute(
        select(boxes).where(boxes.c.tenant_id == "a", boxes.c.id.in_(select(things.c.box_id)))
    ).all(),
    "the same table in a subquery": lambda s: s.execute(
        select(boxes).where(boxes.c.tenant_id == "a", boxes.c.id.in_(select(boxes.c.title).correlate(None)))
    ).all(),
    "a subquery that is filtered outside": lambda s: s.execute(
        select(q := select(boxes).subquery()).where(q.c.tenant_id == "a")
    ).all(),
    "a cte": lambda s: s.execute(select(select(boxes).cte())).all(),
    "a recursive cte": lambda s: s.execute(
        select(
            (c := select(boxes.c.id).where(boxes.c.tenant_id == "a").cte(recursive=True)).union_all(
                select(boxes.c.title).join(c, c.c.id == boxes.c.id)
            )
        )
    ).all(),
    "a union": lambda s: s.execute(
        union(select(boxes.c.title).where(boxes.c.tenant_id == "a"), select(boxes.c.title))
    ).all(),
    "a union in from": lambda s: s.execute(
        select(union_all(select(boxes.c.title).where(boxes.c.tenant_id == "a"), select(boxes.c.title)).subquery())
    ).all(),
    "a join on the id": lambda s: s.execute(
        select(boxes.c.id, things).join(things, things.c.box_id == boxes.c.id).where(boxes.c.tenant_id == "a")
    ).all(),
    "an outer join whose near side is open": lambda s: s.execute(
        select(boxes, things.c.id).outerjoin(
            things, and_(things.c.tenant_id == boxes.c.tenant_id, things.c.tenant_id == "a", boxes.c.tenant_id == "a")
        )
    ).all(),
    "an outer join whose far side is open": lambda s: s.execute(
        select(boxes.c.id, things).outerjoin(things, things.c.box_id == boxes.c.id).where(boxes.c.tenant_id == "a")
    ).all(),
    "two tables side by side": lambda s: s.execute(select(boxes, things).where(boxes.c.tenant_id == "a")).all(),
    "an alias": lambda s: s.execute(select(OTHER)).all(),
    "the wrong one of two": lambda s: s.execute(select(OTHER).where(boxes.c.tenant_id == "a")).all(),
    "an order by a subquery": lambda s: s.execute(
        select(boxes).where(boxes.c.tenant_id == "a").order_by(select(things.c.id).limit(1).scalar_subquery())
    ).all(),
    "a case in the columns": lambda s: s.execute(
        select(boxes.c.id, select(things.c.id).where(things.c.box_id == boxes.c.id).scalar_subquery()).where(
            boxes.c.tenant_id == "a"
        )
    ).all(),
    "a cast tenant": lambda s: s.execute(select(boxes).where(cast(boxes.c.tenant_id, String) == "a")).all(),
    "a table by its name": lambda s: s.execute(select(table("boxes", column("title")))).all(),
    "text": lambda s: s.execute(text("select * from boxes")).all(),
    "text with the tenant": lambda s: s.execute(text("select * from boxes where tenant_id = 'b'")).all(),
    "text with columns": lambda s: s.execute(text("select id from boxes").columns(boxes.c.id)).all(),
    "text with entities": lambda s: s.scalars(select(Box).from_statement(text("select * from boxes"))).all(),
    "text in from": lambda s: s.execute(select(column("title")).select_from(text("boxes"))).all(),
    "text in the columns": lambda s: s.execute(select(text("(select group_concat(title) from boxes)"))).all(),
    "a literal column": lambda s: s.scalar(select(literal_column("(select group_concat(title) from boxes)"))),
    "text as an operator": lambda s: s.execute(
        select(boxes).where(boxes.c.tenant_id == "a", boxes.c.id.op("= '1' or 1 =")(1))
    ).all(),
    "a prefix": lambda s: s.execute(
        select(boxes).where(boxes.c.tenant_id == "a").prefix_with("group_concat(title) from boxes union select")
    ).all(),
    "a suffix": lambda s: s.execute(
        select(boxes.c.title).where(boxes.c.tenant_id == "a").suffix_with("union select title from boxes")
    ).all(),
    "a hint": lambda s: s.execute(
        select(boxes).where(boxes.c.tenant_id == "a").with_hint(boxes, ", boxes as more", "sqlite")
    ).all(),
    "the driver": lambda s: s.connection().exec_driver_sql("select * from boxes").all(),
    "the session's engine": lambda s: engine_of(s).connect().execute(select(boxes)).all(),
    "text on the session's engine": lambda s: engine_of(s).connect().execute(text("select * from boxes")).all(),
    "an entity": lambda s: s.scalars(select(Box)).all(),
    "an entity by its id": lambda s: s.scalars(select(Box).filter_by(id="1")).all(),
    "columns of an entity": lambda s: s.execute(select(Box.title)).all(),
    "an aliased entity": lambda s: s.scalars(select(aliased(Box))).all(),
    "a query": lambda s: s.query(Box).all(),
    "a query's count": lambda s: s.query(Box).filter(Box.id == "1").count(),
    "a query's exists": lambda s: s.query(s.query(Box).exists()).scalar(),
    "get": lambda s: s.get(Box, ("b", "1")),
    "get by name": lambda s: s.get(Box, {"tenant_id": "b", "id": "1"}),
    "get without a tenant in the key": lambda s: s.get(Loose, 1),
    "get one": lambda s: s.get_one(Box, ("b", "1")),
    "a relationship as a join": lambda s: s.scalars(select(Thing).join(Thing.box)).all(),
    "a relationship without a tenant": lambda s: s.scalars(
        select(Thing).join(Thing.loose).where(Thing.tenant_id == "a")
    ).all(),
    "a lazy load": lambda s: s.scalars(select(Thing).where(Thing.tenant_id == "a")).one().loose,
    "joinedload": lambda s: s.scalars(
        select(Thing).where(Thing.tenant_id == "a").options(joinedload(Thing.loose))
    ).all(),
    "selectinload": lambda s: s.scalars(
        select(Thing).where(Thing.tenant_id == "a").options(selectinload(Thing.loose))
    ).all(),
    "subqueryload": lambda s: s.scalars(
        select(Loose).where(Loose.tenant_id == "a").options(subqueryload(Loose.things))
    ).all(),
    "contains_eager": lambda s: s.scalars(
        select(Thing).join(Thing.loose).where(Thing.tenant_id == "a").options(contains_eager(Thing.loose))
    ).all(),
    "any": lambda s: s.scalars(select(Loose).where(Loose.tenant_id == "a", Loose.things.any())).all(),
    "has": lambda s: s.scalars(select(Thing).where(Thing.tenant_id == "a", Thing.loose.has())).all(),
    "undefer": lambda s: s.scalars(select(Box).options(undefer(Box.title))).all(),
    "for update": lambda s: s.execute(select(boxes).with_for_update()).all(),
    "distinct": lambda s: s.scalars(select(boxes.c.tenant_id).distinct()).all(),
    "a stream": lambda s: list(s.execute(select(boxes), execution_options={"yield_per": 1})),
    "find rows": lambda s: find_rows(s, BY_IDS.where(boxes.c.tenant_id == bindparam("t")), {"t": "b"}, "ids", ["1"]),
    "find rows of all": lambda s: find_rows(s, BY_IDS, {}, "ids", ["1"]),
    "read rows": lambda s: read_rows(s, select(boxes).where(boxes.c.tenant_id == bindparam("t")), {"t": "b"}),
    "read rows of another": lambda s: read_rows(s, select(boxes).where(boxes.c.tenant_id == "b"), {}),
    "read a value": lambda s: read_value(s, select(func.count()).select_from(boxes), {}),
}  # fmt: skip


@pytest.mark.parametrize("work", READS.values(), ids=READS.keys())
def test_another_tenants_rows_are_never_read(session: TenantSession, work: Work) -> None:
    with pytest.raises(NotBound):
        work(session)


WRITES: dict[str, Work] = {
    "insert for another": lambda s: s.execute(insert(boxes).values(tenant_id="b", id="2")),
    "insert many": lambda s: s.execute(insert(boxes), [{"tenant_id": "a", "id": "2"}, {"tenant_id": "b", "id": "2"}]),
    "insert several values": lambda s: s.execute(
        insert(boxes).values([{"tenant_id": "a", "id": "2"}, {"tenant_id": "b", "id": "2"}])
    ),
    "insert an expression": lambda s: s.execute(insert(boxes).values(tenant_id=func.lower("B"), id="2")),
    "insert a literal": lambda s: s.execute(insert(boxes).values(tenant_id=literal("b"), id="2")),
    "insert a subquery": lambda s: s.execute(
        insert(boxes).values(tenant_id="a", id="2", title=select(boxes.c.title).limit(1).scalar_subquery())
    ),
    "insert from select": lambda s: s.execute(
        insert(boxes).from_select(["tenant_id", "id", "title"], select(literal("a"), boxes.c.id, boxes.c.title))
    ),
    "insert from one's own for another": lambda s: s.execute(
        insert(boxes).from_select(
            ["tenant_id", "id"], select(literal("b"), boxes.c.title).where(boxes.c.tenant_id == "a")
        )
    ),
    "insert or replace": lambda s: s.execute(insert(loose).prefix_with("or replace").values(tenant_id="a", id=1)),
    "on conflict": lambda s: s.execute(
        sqlite.insert(loose).values(tenant_id="a", id=1).on_conflict_do_update(["id"], set_={"tenant_id": "a"})
    ),
    "insert an entity": lambda s: s.execute(insert(Box), [{"tenant_id": "b", "id": "2"}]),
    "insert an entity's values": lambda s: s.execute(insert(Box).values(tenant_id="b", id="2")),
    "insert returning": lambda s: s.scalars(insert(Box).returning(Box), [{"tenant_id": "b", "id": "2"}]).all(),
    "add": lambda s: add(s, Box(tenant_id="b", id="2")),
    "merge": lambda s: s.merge(Box(tenant_id="b", id="1", title="x")),
    "bulk save": lambda s: s.bulk_save_objects([Box(tenant_id="b", id="2")]),
    "bulk insert": lambda s: s.bulk_insert_mappings(Box, [{"tenant_id": "b", "id": "2"}]),
    "bulk update": lambda s: s.bulk_update_mappings(Box, [{"tenant_id": "b", "id": "1", "title": "x"}]),
    "insert rows": lambda s: insert_rows(s, boxes, ("tenant_id", "id", "title"), [("a", "2", ""), ("b", "2", "")]),
    "execute rows": lambda s: execute_rows(
        s, update(boxes).where(boxes.c.id == "1").values(title="x"), ("title", "id_1"), [("x", "1")]
    ),
    "change rows": lambda s: change_rows(
        s, update(boxes).where(boxes.c.tenant_id == bindparam("t")).values(title="x"), {"t": "b"}
    ),
    "change rows of all": lambda s: change_rows(s, delete(boxes).where(boxes.c.id == bindparam("i")), {"i": "1"}),
    "update": lambda s: s.execute(update(boxes).values(title="x")),
    "update of another": lambda s: s.execute(update(boxes).where(boxes.c.tenant_id == "b").values(title="x")),
    "update to another": lambda s: s.execute(
        update(things).where(things.c.tenant_id == "a").values(tenant_id="b", id="2")
    ),
    "update to an expression": lambda s: s.execute(
        update(things).where(things.c.tenant_id == "a").values(tenant_id=func.lower("B"), id="2")
    ),
    "update from a subquery": lambda s: s.execute(
        update(boxes).where(boxes.c.tenant_id == "a").values(title=select(things.c.id).limit(1).scalar_subquery())
    ),
    "update from another table": lambda s: s.execute(
        update(boxes).where(boxes.c.tenant_id == "a", things.c.box_id == boxes.c.id).values(title=things.c.id)
    ),
    "update entities": lambda s: s.execute(update(Box).values(title="x")),
    "update entities in the session": lambda s: s.execute(
        update(Box).where(Box.id == "1").values(title="x").execution_options(synchronize_session="fetch")
    ),
    "update entities by key": lambda s: s.execute(update(Box), [{"tenant_id": "b", "id": "1", "title": "x"}]),
    "query update": lambda s: s.query(Box).update({"title": "x"}),
    "delete": lambda s: s.execute(delete(boxes)),
    "delete by id": lambda s: s.execute(delete(boxes).where(boxes.c.id == "1")),
    "delete of another": lambda s: s.execute(delete(boxes).where(boxes.c.tenant_id == "b")),
    "delete in a subquery": lambda s: s.execute(
        delete(boxes).where(boxes.c.tenant_id == "a", boxes.c.id.in_(select(things.c.box_id)))
    ),
    "delete entities": lambda s: s.execute(delete(Box).where(Box.id == "1")),
    "query delete": lambda s: s.query(Box).filter(Box.id == "1").delete(),
    "text": lambda s: s.execute(text("delete from boxes")),
    "the driver": lambda s: s.connection().exec_driver_sql("delete from boxes"),
    "a trigger of one's own": lambda s: s.execute(text("create table mine as select * from boxes")),
}


@pytest.mark.parametrize("work", WRITES.values(), ids=WRITES.keys())
def test_another_tenants_rows_are_never_written(engine: Engine, session: TenantSession, work: Work) -> None:
    with pytest.raises(NotBound):
        work(session)
    session.rollback()
    assert everything(engine) == {("a", "1", "canary of a"), ("b", "1", "canary of b")}


@crosses_tenants("the test looks at what was left")
def _all(session: TenantSession) -> Any:
    return {tuple(row) for row in session.execute(select(boxes.c.tenant_id, boxes.c.id, boxes.c.title))}


def everything(engine: Engine) -> Any:
    with TenantSession(engine, None) as session:
        return _all(session)


OWN: dict[str, Work] = {
    "core": lambda s: s.scalars(select(boxes.c.title).where(boxes.c.tenant_id == "a")).all(),
    "the other way round": lambda s: s.scalars(select(boxes.c.title).where(literal("a") == boxes.c.tenant_id)).all(),
    "an entity": lambda s: [box.title for box in s.scalars(select(Box).where(Box.tenant_id == "a"))],
    "an aliased entity": lambda s: s.scalars(select((one := aliased(Box)).title).where(one.tenant_id == "a")).all(),
    "get": lambda s: [s.get(Box, ("a", "1")).title],
    "a join": lambda s: s.scalars(
        select(boxes.c.title).join(things, things.c.tenant_id == boxes.c.tenant_id).where(things.c.tenant_id == "a")
    ).all(),
    "an outer join": lambda s: s.scalars(
        select(boxes.c.title)
        .outerjoin(things, and_(things.c.tenant_id == boxes.c.tenant_id, things.c.box_id == boxes.c.id))
        .where(boxes.c.tenant_id == "a")
    ).all(),
    "a chain": lambda s: s.scalars(
        select(boxes.c.title)
        .where(OTHER.c.tenant_id == things.c.tenant_id, things.c.tenant_id == boxes.c.tenant_id)
        .where(OTHER.c.tenant_id == "a")
    ).all(),
    "a correlated subquery": lambda s: s.scalars(
        select(boxes.c.title).where(
            boxes.c.tenant_id == "a",
            exists().where(things.c.tenant_id == boxes.c.tenant_id, things.c.box_id == boxes.c.id),
        )
    ).all(),
    "a cte": lambda s: s.scalars(select(select(boxes.c.title).where(boxes.c.tenant_id == "a").cte())).all(),
    "a union": lambda s: s.scalars(
        union(*(select(boxes.c.title).where(boxes.c.tenant_id == "a", boxes.c.id == each) for each in "12"))
    ).all(),
    "a relationship": lambda s: [s.scalars(select(Thing).where(Thing.tenant_id == "a")).one().box.title],
    "a collection": lambda s: [
        thing.box.title for thing in s.scalars(select(Box).where(Box.tenant_id == "a")).one().things
    ],
    "joinedload": lambda s: [
        thing.box.title
        for thing in s.scalars(select(Thing).where(Thing.tenant_id == "a").options(joinedload(Thing.box)))
    ],
    "find rows": lambda s: [
        title
        for (title,) in find_rows(s, BY_IDS.where(boxes.c.tenant_id == bindparam("t")), {"t": "a"}, "ids", ["1", "9"])
    ],
    "read rows": lambda s: [
        title for (title,) in read_rows(s, select(boxes.c.title).where(boxes.c.tenant_id == "a"), {})
    ],
    "update returning": lambda s: s.scalars(
        update(boxes).where(boxes.c.tenant_id == "a").values(tenant_id="a").returning(boxes.c.title)
    ).all(),
}


@pytest.mark.parametrize("work", OWN.values(), ids=OWN.keys())
def test_ones_own_rows_are_read_as_ever(session: TenantSession, work: Work) -> None:
    assert work(session) == ["canary of a"]


def test_what_is_of_the_mesh_belongs_to_nobody(session: TenantSession) -> None:
    session.execute(insert(clock).values(ticks=1))
    assert session.scalars(select(clock.c.ticks)).all() == [1]


def test_a_key_to_another_tenants_row_leads_nowhere(session: TenantSession) -> None:
    session.add(Thing(tenant_id="a", id="2", box_id="of b"))
    with pytest.raises(IntegrityError):
        session.flush()


def test_without_a_tenant_nothing_of_tenants_is_read_or_written(engine: Engine) -> None:
    for work in (*OWN.values(), *READS.values(), *WRITES.values()):
        with TenantSession(engine, None) as session, pytest.raises(NotBound):
            work(session)


def test_what_was_read_across_tenants_is_forgotten_afterwards(session: TenantSession) -> None:
    with across_tenants(session, "both are looked at"):
        kept = session.scalars(select(Box)).all()
        assert session.get(Box, ("b", "1")) is not None
    assert {box.tenant_id for box in kept} == {"a", "b"}
    assert {box.tenant_id for box in session.identity_map.values() if isinstance(box, Box)} == {"a"}
    with pytest.raises(NotBound):
        session.get(Box, ("b", "1"))


def test_what_is_held_in_the_identity_map_is_refused_all_the_same(session: TenantSession) -> None:
    with across_tenants(session, "both are looked at"):
        foreign = session.get(Box, ("b", "1"))
        with of_tenant(session, "a"), pytest.raises(NotBound):
            session.get(Box, ("b", "1"))
    assert foreign is not None


def test_a_callers_session_is_never_bound_to_another_tenant(session: TenantSession) -> None:
    with pytest.raises(NotBound), of_tenant(session, "b"):
        pytest.fail("it was bound")
    with of_tenant(session, "a"):
        assert session.scalars(select(boxes.c.title).where(boxes.c.tenant_id == "a")).all() == ["canary of a"]


def test_a_session_of_the_mesh_is_bound_for_a_while(engine: Engine) -> None:
    query = select(boxes.c.title).where(boxes.c.tenant_id == "b")
    with TenantSession(engine, None) as session:
        with of_tenant(session, "b"):
            assert session.scalars(query).all() == ["canary of b"]
        with of_tenant(session, "a"), pytest.raises(NotBound):
            session.scalars(query)
        with pytest.raises(NotBound):
            session.scalars(query)


def test_a_statement_that_is_compiled_once_is_checked_each_time(engine: Engine) -> None:
    def titles(tenant: str, asked: str) -> Any:
        with TenantSession(engine, tenant) as session:
            return session.scalars(select(boxes.c.title).where(boxes.c.tenant_id == asked)).all()

    for _ in range(3):
        assert titles("a", "a") == ["canary of a"]
        assert titles("b", "b") == ["canary of b"]
        with pytest.raises(NotBound):
            titles("a", "b")
