"""The audit at rest: pages by an index, and nothing goes but what is too old."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table, event
from sqlalchemy.orm import Session

from monitors.mesh import audit_table
from monitors.mesh.audit import Change, Event, Query, Source, events_of
from monitors.mesh.audit_keeping import forget_old
from monitors.mesh.audit_table import append, list_events
from monitors.mesh.database import Database, sqlite_url
from monitors.notifier.store.tables import audit as notifiers
from monitors.rules.store.tables import audit as rules
from tests.harness import LoopThread
from tests.tenants import of_all

TABLES = {"rules": rules, "notifier": notifiers}


@pytest.fixture(params=TABLES)
def audit(request: pytest.FixtureRequest) -> Table:
    """A service's table."""
    return TABLES[request.param]


@pytest.fixture
def database(audit: Table, tmp_path: Path) -> Iterator[Database]:
    """The database of the service whose table that is."""
    service = "rules" if audit is rules else "notifier"
    opened = Database(sqlite_url(tmp_path / "a.db"), name="a", migrations=f"monitors.{service}.migrations")
    opened.upgrade()
    yield opened
    opened.close()


def made(tenant: str, now: int, count: int, user: str = "ann") -> list[Event]:
    changes = [Change("rule", f"rule_{number}", None, {"title": "x"}) for number in range(count)]
    return events_of(tenant, user, Source("test"), "CreateRule", now, changes)


def test_both_services_have_the_same_table() -> None:
    assert [(c.name, str(c.type), c.primary_key) for c in rules.c] == [
        (c.name, str(c.type), c.primary_key) for c in notifiers.c
    ]


@pytest.mark.parametrize(
    ("query", "index"),
    [
        (Query(), "sqlite_autoindex_"),
        (Query(start=5, end=50), "sqlite_autoindex_"),
        (Query(kind="rule"), "ix_audit_kind"),
        (Query(user="ann", start=5), "ix_audit_user"),
        (Query(resource_id="rule_1", end=50), "ix_audit_resource_id"),
    ],
)
@pytest.mark.parametrize("after", [None, (7, "audit_x")])
def test_a_page_is_read_by_an_index_in_its_order(
    loop_thread: LoopThread, database: Database, audit: Table, query: Query, index: str, after: tuple[int, str] | None
) -> None:
    @of_all
    def look(session: Session) -> list[str]:
        return plan_of(session, lambda: list_events(session, audit, "acme", query, after, 10))

    (step,) = loop_thread.run(database.read(look))
    used = step.partition("USING INDEX ")[2]
    assert used.startswith(index)
    assert " (tenant_id=?" in used


def plan_of(session: Session, work: Callable[[], object]) -> list[str]:
    """How SQLite reads what `work` asks for, a line per step."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    session.connection()  # begins the transaction, which is no question of its own
    bind = session.get_bind()
    event.listen(bind, "before_cursor_execute", note)
    work()
    event.remove(bind, "before_cursor_execute", note)
    ((statement, parameters),) = asked
    return [row[3] for row in session.connection().exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]


def test_what_is_too_old_goes_and_the_rest_stays(loop_thread: LoopThread, database: Database, audit: Table) -> None:
    @of_all
    def fill(session: Session) -> None:
        for tenant in ("acme", "globex"):
            append(session, audit, made(tenant, 100, 3))
            append(session, audit, made(tenant, 200, 2))

    loop_thread.run(database.write(fill))
    loop_thread.run(forget_old(database, audit, 102))
    for tenant in ("acme", "globex"):
        left = loop_thread.run(
            database.read(of_all(lambda session: list_events(session, audit, tenant, Query(), None, 10)))  # noqa: B023
        )
        assert [event.time for event in left] == [201, 200, 102]


def test_pages_hold_every_event_once(loop_thread: LoopThread, database: Database, audit: Table) -> None:
    # Two writers may have the same time.
    events = [*made("acme", 100, 5), *made("acme", 102, 5, "bob")]
    loop_thread.run(database.write(of_all(lambda session: append(session, audit, events))))
    found: list[Event] = []
    after = None
    while page := loop_thread.run(
        database.read(of_all(lambda session: list_events(session, audit, "acme", Query(), after, 3)))  # noqa: B023
    ):
        found += page
        after = (page[-1].time, page[-1].id)
    assert found == sorted(events, key=lambda event: (event.time, event.id), reverse=True)


def test_nothing_in_the_code_changes_an_event() -> None:
    text = Path(audit_table.__file__).read_text()
    assert "update(" not in text
    assert text.count("delete(") == 1
