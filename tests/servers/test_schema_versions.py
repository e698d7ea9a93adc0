"""A server's tables are made by `monitors db upgrade` alone, and services of two versions work with the same ones."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, event, inspect, text
from sqlalchemy.engine import Inspector

from monitors.mesh.config import RulesSettings
from monitors.mesh.database import Database, DatabaseUnusable
from monitors.rules.main import open_rules
from tests.cli.conftest import Command
from tests.harness import LoopThread
from tests.servers.mariadb import shared_server


def opened(loop: LoopThread, url: str) -> None:
    async def start() -> None:
        async with open_rules(RulesSettings(url), asyncio.Event(), None):
            pass

    loop.run(start())


def set_version(url: str, version: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE rules_alembic_version SET version_num = :version"), {"version": version})
    engine.dispose()


def test_tables_are_made_by_the_command_and_by_no_service(loop_thread: LoopThread, tmp_path: Path) -> None:
    url = shared_server().url(shared_server().create_database())
    operator = Command({"MONITORS_HOME": str(tmp_path), "DATABASE_URL": url})
    with pytest.raises(DatabaseUnusable, match=r"tables of rules not yet.*monitors db upgrade"):
        opened(loop_thread, url)
    assert operator("db", "check", ok=False).code == 1
    document = operator("db", "upgrade", "--json").document
    assert set(document) == {"rules", "notifier"}
    assert all(one["version"] == one["newest"] for one in document.values())
    assert "can be used" in operator("db", "check").stdout
    opened(loop_thread, url)


def test_a_service_works_with_the_next_version_but_not_with_an_older_one(loop_thread: LoopThread) -> None:
    url = shared_server().migrated_database("rules")
    database = Database(url, name="rules", migrations="monitors.rules.migrations")
    _, newest = database.versions
    database.close()
    set_version(url, f"{int(newest) + 1:04}")
    opened(loop_thread, url)
    set_version(url, f"{int(newest) + 2:04}")
    with pytest.raises(DatabaseUnusable, match="much newer program"):
        opened(loop_thread, url)
    set_version(url, f"{int(newest) - 1:04}")
    with pytest.raises(DatabaseUnusable, match="monitors db upgrade"):
        opened(loop_thread, url)


def columns(inspector: Inspector) -> dict[tuple[str, str], bool]:
    """Of each column, whether a row may be written without it."""
    return {
        (table, column["name"]): bool(column["nullable"]) or column["default"] is not None
        for table in inspector.get_table_names()
        for column in inspector.get_columns(table)
    }


class CutOff(Exception):
    """The end of whoever upgrades, in the middle of it."""


def upgrade_to_a_new_statement(url: str, service: str, done: set[str]) -> bool:
    """Upgrades until a statement that changes something and isn't among those `done`; whether there was one."""

    def end(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        whole = f"{statement} {parameters}"
        if statement.split()[0] in ("CREATE", "ALTER", "DROP", "INSERT", "UPDATE", "RENAME") and whole not in done:
            done.add(whole)
            raise CutOff

    database = Database(url, name=service, migrations=f"monitors.{service}.migrations")
    event.listen(Engine, "after_cursor_execute", end)
    try:
        database.upgrade()
    except CutOff:
        return True
    finally:
        event.remove(Engine, "after_cursor_execute", end)
        database.close()
    return False


def shapes(url: str) -> dict[str, list[str]]:
    """How each table is made, whatever the order."""
    engine = create_engine(url)
    with engine.connect() as connection:
        names = inspect(connection).get_table_names()
        made = {name: connection.execute(text(f"SHOW CREATE TABLE `{name}`")).one()[1] for name in names}
    engine.dispose()
    return {name: sorted(line.strip(" ,") for line in text.splitlines()) for name, text in made.items()}


@pytest.mark.parametrize("service", ["rules", "notifier"])
def test_an_upgrade_that_is_cut_off_at_any_statement_goes_on_when_it_is_run_again(service: str) -> None:
    url = shared_server().url(shared_server().create_database())
    done: set[str] = set()
    while upgrade_to_a_new_statement(url, service, done):
        pass
    whole = shared_server().migrated_database(service)
    assert shapes(url) == shapes(whole)
    assert len(done) > len(shapes(url))


@pytest.mark.parametrize("service", ["rules", "notifier"])
def test_the_newest_version_only_adds_what_the_one_before_needs_not_know(service: str) -> None:
    url = shared_server().url(shared_server().create_database())
    database = Database(url, name=service, migrations=f"monitors.{service}.migrations")
    newest = database.versions[1]
    database.upgrade(to=f"{int(newest) - 1:04}")
    engine = create_engine(url)
    before = columns(inspect(engine))
    database.upgrade()
    after = columns(inspect(engine))
    engine.dispose()
    database.close()
    assert before.keys() <= after.keys()
    tables = {table for table, _ in before}
    assert all(may_lack for (table, name), may_lack in after.items() if table in tables and (table, name) not in before)
