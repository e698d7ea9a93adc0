"""The schema: migrations make exactly the tables that the store uses, and each row belongs to a tenant."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from monitors.mesh.database import Database, sqlite_url
from monitors.rules.store.tables import metadata

OF_THE_MESH = {"counters", "evaluators", "shards", "shard_states", "tenants"}


def test_the_migrations_make_the_tables_that_the_store_uses(tmp_path: Path) -> None:
    url = sqlite_url(tmp_path / "rules.db")
    database = Database(url, name="schema", migrations="monitors.rules.migrations")
    database.upgrade()
    database.upgrade()
    database.close()
    engine = create_engine(url)
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


def test_every_row_and_every_key_carries_its_tenant() -> None:
    for table in metadata.tables.values():
        if table.name in OF_THE_MESH:
            continue
        assert "tenant_id" in table.primary_key.columns, table.name
        for constraint in table.foreign_key_constraints:
            assert "tenant_id" in constraint.column_keys, table.name
