"""What every alert waits for reads the rows that it names, however many others there are."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from monitors.mesh.database import Database, sqlite_url
from monitors.rules.model.alert import Held
from monitors.rules.model.episodes import Known
from monitors.rules.store import alerts, outbox, past
from monitors.rules.store.transitions import load_open, load_over
from tests.harness import LoopThread
from tests.tenants import of_all

HELD = Held("t", "rule_1/key", "alert_1")


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("plans")
    opened = Database(sqlite_url(folder / "rules.db"), name="plans", migrations="monitors.rules.migrations")
    opened.upgrade()
    yield opened
    opened.close()


def plan_of(session: Session, work: Callable[[Session], object]) -> list[str]:
    """How SQLite reads what `work` asks for, a line per table."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    bind = session.get_bind()
    event.listen(bind, "before_cursor_execute", note)
    work(session)
    event.remove(bind, "before_cursor_execute", note)
    connection = session.connection()
    return [
        row[3]
        for statement, parameters in asked
        for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
        if "USING" in row[3]
    ]


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (
            lambda session: load_open(session, {"t": ["1", "2"]}),
            ["(tenant_id=? AND open_key=?)"],
        ),
        (
            lambda session: load_over(session, Known(), {"t": ["1", "2"]}),
            ["(tenant_id=? AND instance_key=? AND told_time>?)"],
        ),
        (
            lambda session: outbox.take_over(session, "token", ["note_1", "note_2", "note_3"]),
            ["(id=?)", "(id=?)", "(tenant_id=? AND stream_key=?)"],
        ),
        (lambda session: outbox.lease(session, 5, "token"), ["(name=?)", "(state=? AND due_time<?)"]),
        (lambda session: outbox.next_due(session, 5), ["(state=? AND due_time>?)"]),
        (lambda session: outbox.suppress(session, [HELD]), ["(tenant_id=? AND stream_key=?)"]),
        (lambda session: outbox.reschedule(session, [(HELD, 5)]), ["(tenant_id=? AND stream_key=?)"]),
        (lambda session: outbox.released(session, [HELD]), ["(tenant_id=? AND stream_key=?)"]),
        (lambda session: alerts.open_alerts(session, "t", "rule_1"), ["(tenant_id=? AND rule_id=? AND open_key>?)"]),
        (lambda session: alerts.open_alerts(session, "t"), ["(tenant_id=? AND open_key>?)"]),
        (
            lambda session: alerts.open_episodes(session, [1, 2], ("t", "key"), 10),
            ["(tenant_id=? AND open_key>?)", "(tenant_id>?)"],
        ),
        (lambda session: alerts.timeline(session, "t", "alert_1"), ["(tenant_id=? AND alert_id=?)"]),
        (lambda session: alerts.events_since(session, "t", 1, 10), ["(tenant_id=? AND sequence>?)"]),
        (lambda session: outbox.waited_for(session, "t", [HELD]), ["(tenant_id=? AND stream_key=?)"]),
        (lambda session: past.tenants_with_alerts(session), ["(tenant_id>?)"]),
        (
            lambda session: past.past_alerts(session, "t", 5),
            ["(tenant_id=? AND fire_time>? AND fire_time<?)"],
        ),
        # Of as many as there are at once: what is thought to be few rows depends on it.
        (lambda session: past.forget(session, "t", 5, [f"alert_{n}" for n in range(100)]), ["(tenant_id=? AND id=?)"]),
    ],
)
def test_a_query_on_the_way_of_an_alert_has_its_index(
    loop_thread: LoopThread, database: Database, work: Callable[[Session], object], expected: list[str]
) -> None:
    plan = loop_thread.run(database.write(of_all(lambda session: plan_of(session, work))))
    # What remains of a line is by what it searches its index.
    assert [line[line.index("(") :] for line in plan if "(" in line] == expected
