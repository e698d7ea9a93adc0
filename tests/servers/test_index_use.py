"""However much there is, MariaDB reads a page from its place in an index, in order, and sorts nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from monitors.notifier.model.turns import Lane
from monitors.notifier.store import log
from monitors.notifier.store.lanes import next_due, waiting_lanes
from monitors.notifier.store.sendable import of_lanes
from monitors.rules.model.alert import EventKind
from monitors.rules.store import alerts, outbox, rules
from tests.servers.mariadb import shared_server
from tests.tenants import of_all

ROWS = 3000
AFTER = (1500, "id001500")
NEW = outbox.Waiting("t1", "new", 10**9, "id000001", EventKind.FIRING, "v1", 0, b"", 0)


@pytest.fixture(scope="module")
def engine() -> Engine:
    """A database with many rows of each table, of three tenants, whose values only the indexes care for."""
    made = create_engine(shared_server().migrated_database("rules", "notifier"), paramstyle="format")
    with made.begin() as connection:
        connection.exec_driver_sql("SET foreign_key_checks = 0")
        for table in ("rules", "alerts", "outbox", "notifier_deliveries"):
            columns = [(row[0], row[1]) for row in connection.exec_driver_sql(f"SHOW COLUMNS FROM {table}")]
            names = ", ".join(f"`{name}`" for name, _ in columns)
            marks = ", ".join(["%s"] * len(columns))
            rows = [tuple(value(name, kind, number) for name, kind in columns) for number in range(ROWS)]
            connection.exec_driver_sql(f"INSERT INTO {table} ({names}) VALUES ({marks})", rows)
            connection.exec_driver_sql(f"ANALYZE TABLE {table}").all()
    return made


def value(name: str, kind: str, number: int) -> Any:
    if name == "tenant_id":
        return f"t{number % 3}"
    if name == "id":
        return f"id{number:06}"
    if name in ("key", "open_key"):
        return None
    if "time" in name or name.endswith("_at") or name in ("revision", "sequence"):
        return number
    if "int" in kind or "double" in kind:
        return number % 10
    return b"{}" if "blob" in kind else "{}" if "text" in kind else f"v{number}"


def plan_of(engine: Engine, work: Callable[[Session], object]) -> list[Any]:
    """How MariaDB reads the last of what `work` asks for; what it makes of the rows doesn't matter."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    with Session(engine) as session:
        connection = session.connection()
        event.listen(engine, "before_cursor_execute", note)
        try:
            of_all(work)(session)
        except (KeyError, ValueError):
            pass
        finally:
            event.remove(engine, "before_cursor_execute", note)
        statement, parameters = next(one for one in reversed(asked) if one[0].lstrip(" (").startswith("SELECT"))
        return list(connection.exec_driver_sql(f"EXPLAIN {statement}", parameters))


@pytest.mark.parametrize(
    ("work", "index"),
    [
        (lambda session: rules.list_rules(session, "t1", [], AFTER, 50), "ix_rules_created"),
        (lambda session: alerts.list_alerts(session, "t1", [], AFTER, 50), "ix_alerts_fired"),
        (lambda session: log.list_page(session, "t1", log.Query(), AFTER, 50), "ix_deliveries_newest"),
        # Where nothing is due it's the look for that which is the last.
        (lambda session: outbox.lease(session, -1, "token"), "ix_outbox_due"),
        (lambda session: outbox.lease(session, 10**9, "token"), "uq_outbox_sequence"),
        (lambda session: outbox.insert_waiting(session, [NEW], outbox.Receiver("token", 0)), "ix_outbox_stream"),
    ],
)
def test_what_is_read_page_by_page_has_its_index(engine: Engine, work: Callable[[Session], object], index: str) -> None:
    first = plan_of(engine, work)[0]
    assert first.key == index
    assert "filesort" not in first.Extra


def test_the_lanes_are_found_by_skipping_through_their_index(engine: Engine) -> None:
    storm = "UPDATE notifier_deliveries SET state = 1, severity = 2, channel_id = 'chan_one'"
    with engine.begin() as connection:
        connection.exec_driver_sql(storm)
        connection.exec_driver_sql("ANALYZE TABLE notifier_deliveries").all()
    plan = plan_of(engine, lambda session: waiting_lanes(session, lambda _: pytest.fail("no lane has a channel")))
    (grouped,) = (step for step in plan if step.table == "notifier_deliveries")
    assert grouped.key == "ix_deliveries_lanes"
    assert "Using index for group-by" in grouped.Extra
    plan = plan_of(engine, lambda session: next_due(session, [Lane("t1", "chan_one", 2, 0)], -1))
    assert [step.Extra for step in plan] == ["Select tables optimized away"]


def test_of_a_storm_only_what_is_wanted_is_read(engine: Engine) -> None:
    lane = Lane("t1", "chan_one", 2, 0)
    plan = plan_of(engine, lambda session: of_lanes(session, [(lane, 5), (lane, 7)], 10**9))
    read = [step for step in plan if step.table == "notifier_deliveries"]
    assert [step.key for step in read] == ["ix_deliveries_lanes"] * 2
    assert not any("filesort" in step.Extra for step in plan)
