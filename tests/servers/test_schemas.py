"""The migrations make the same tables on SQLite and on MariaDB: those that the stores use."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, LargeBinary, MetaData, Text, create_engine
from sqlalchemy.types import TypeEngine

from monitors.mesh.database import Database, sqlite_url
from monitors.notifier.store.tables import Base
from monitors.rules.store.tables import metadata
from tests.servers.mariadb import shared_server

OF_THE_NOTIFIER = {"notifier_sealed_keys"}
SCHEMAS = {"rules": metadata, "notifier": Base.metadata}


def on_sqlite(folder: Path) -> str:
    return sqlite_url(folder / "schema.db")


def on_mariadb(_: Path) -> str:
    server = shared_server()
    return server.url(server.create_database())


def differs(
    _context: MigrationContext,
    _inspected: Column[Any],
    _wanted: Column[Any],
    there: TypeEngine[Any],
    wanted: TypeEngine[Any],
) -> bool | None:
    # A server has several kinds of long texts and blobs, each for lengths up to its own.
    for kind, ending in ((Text, "TEXT"), (LargeBinary, "BLOB")):
        if isinstance(wanted, kind):
            return not type(there).__name__.endswith(ending)
    return None


def migrated(url: str, service: str) -> None:
    database = Database(url, name=service, migrations=f"monitors.{service}.migrations")
    database.upgrade()
    database.upgrade()
    assert database.is_current()
    database.close()


def differences(url: str, tables: MetaData) -> list[Any]:
    engine = create_engine(url)
    names = set(tables.tables)

    def is_ours(_thing: object, name: str | None, kind: str, _reflected: bool, _compared: object) -> bool:
        return kind != "table" or name in names

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": differs, "include_object": is_ours})
        found = list(compare_metadata(context, tables))
    engine.dispose()
    return found


@pytest.mark.parametrize("where", [on_sqlite, on_mariadb])
@pytest.mark.parametrize("service", SCHEMAS)
def test_the_migrations_make_the_tables_that_the_store_uses(
    tmp_path: Path, service: str, where: Callable[[Path], str]
) -> None:
    url = where(tmp_path)
    migrated(url, service)
    assert differences(url, SCHEMAS[service]) == []


def test_two_services_share_a_database(tmp_path: Path) -> None:
    url = on_mariadb(tmp_path)
    for service in SCHEMAS:
        migrated(url, service)
    assert not set(metadata.tables) & set(Base.metadata.tables)
    for tables in SCHEMAS.values():
        assert differences(url, tables) == []


def test_every_row_carries_its_tenant_in_the_notifier() -> None:
    tables = (table for name, table in Base.metadata.tables.items() if name not in OF_THE_NOTIFIER)
    assert all("tenant_id" in table.primary_key.columns for table in tables)
