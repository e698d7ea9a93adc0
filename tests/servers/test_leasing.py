"""Leasing from the outbox while others change it: each statement sees another state of MariaDB's rows."""

from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, insert
from sqlalchemy.orm import Session

from monitors.rules.model.alert import EventKind, Held
from monitors.rules.store import outbox
from monitors.rules.store.tables import tenants
from tests.servers.mariadb import shared_server
from tests.tenants import of_all

NOW = 10**18


@pytest.fixture
def engine() -> Engine:
    url = shared_server().migrated_database("rules")
    return create_engine(url, paramstyle="format", isolation_level="READ COMMITTED")


def waiting(sequence: int, stream: str, due: int = NOW) -> outbox.Waiting:
    alert = f"alert_{sequence}"
    return outbox.Waiting("t", f"note_{sequence}", sequence, alert, int(EventKind.FIRING), stream, due, b"", NOW)


def fill(engine: Engine, *rows: outbox.Waiting) -> None:
    @of_all
    def work(session: Session) -> None:
        session.execute(insert(tenants).values(id="t", create_time=1))
        session.connection().exec_driver_sql("SET foreign_key_checks = 0")
        outbox.insert_waiting(session, rows)

    with Session(engine) as session, session.begin():
        work(session)


def lease(session: Session, token: str) -> list[int]:
    return [each.sequence for each in outbox.lease(session, NOW, token).leased]


def lease_while(engine: Engine, meanwhile: Any) -> list[int]:
    """What is leased if something else commits once it's known what is in front."""
    done: list[bool] = []

    def interrupt(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if "FOR UPDATE" in statement and "FROM outbox" in statement and not done:
            done.append(True)
            with Session(engine) as other, other.begin():
                meanwhile(other)

    with Session(engine) as session, session.begin():
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", interrupt)
        leased = lease(session, "new")
    assert done
    return leased


def test_what_is_given_back_meanwhile_is_overtaken_by_nothing_of_its_stream(engine: Engine) -> None:
    fill(engine, waiting(1, "s"))
    with Session(engine) as session, session.begin():
        assert lease(session, "old") == [1]
    with Session(engine) as session, session.begin():
        of_all(lambda session: outbox.insert_waiting(session, [waiting(2, "s"), waiting(3, "other")]))(session)
    assert lease_while(engine, lambda session: outbox.give_back(session, "old")) == [3]
    with Session(engine) as session, session.begin():
        assert lease(session, "next") == [1, 2]


def test_what_comes_due_meanwhile_is_overtaken_by_nothing_of_its_stream(engine: Engine) -> None:
    fill(engine, waiting(1, "s", NOW + 5), waiting(2, "s"), waiting(3, "other"))
    held = Held("t", "s", "alert_1")
    sooner = of_all(lambda session: outbox.reschedule(session, [(held, NOW)]))
    assert lease_while(engine, sooner) == [3]
