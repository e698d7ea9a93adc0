"""All tables of all services: each row and each key between rows carries its tenant, or the table says why not."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, MetaData, Table, create_engine, inspect
from sqlalchemy.exc import IntegrityError

from monitors.evaluator.store import tables as evaluator
from monitors.mesh.database import Database, sqlite_url
from monitors.mesh.tenancy import OF_THE_MESH, TENANT_COLUMN
from monitors.notifier.store.tables import Base
from monitors.rules.store.tables import metadata as rules

SCHEMAS: dict[str, MetaData] = {
    "rules": rules,
    "evaluator": evaluator.series.metadata,
    "notifier": Base.metadata,
}
TABLES = {f"{service}.{table.name}": table for service, schema in SCHEMAS.items() for table in schema.sorted_tables}
# Whoever makes this list longer must be sure that no row of the table says anything of a tenant to another.
OF_NOBODY = {
    "rules.counters", "rules.evaluators", "rules.shards", "rules.shard_states",
    "notifier.notifier_sealed_keys",
    "evaluator.batches", "evaluator.blocks", "evaluator.newest",
}  # fmt: skip


def column_of(table: Table) -> str:
    return str(table.info.get(TENANT_COLUMN, "tenant_id"))


def test_only_those_on_the_list_are_of_the_mesh_and_each_says_why() -> None:
    said = {name: table.info[OF_THE_MESH] for name, table in TABLES.items() if OF_THE_MESH in table.info}
    assert said.keys() == OF_NOBODY
    assert all(len(reason) > 20 for reason in said.values())


@pytest.mark.parametrize("name", sorted(TABLES.keys() - OF_NOBODY))
def test_the_tenant_is_the_first_part_of_each_key(name: str) -> None:
    table = TABLES[name]
    column = column_of(table)
    assert next(iter(table.primary_key.columns)).name == column
    assert not table.columns[column].nullable
    for key in table.foreign_key_constraints:
        (pair,) = [each for each in key.elements if each.parent.name == column]
        assert pair.column.name == column_of(pair.column.table)
        assert OF_THE_MESH not in key.referred_table.info


@pytest.fixture(params=SCHEMAS, scope="module")
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Engine]]:
    """A database as the service's migrations make it."""
    service = request.param
    url = sqlite_url(tmp_path_factory.mktemp(service) / "made.db")
    database = Database(url, name=service, migrations=f"monitors.{service}.migrations")
    database.upgrade()
    database.close()
    engine = create_engine(url)
    yield service, engine
    engine.dispose()


def test_the_database_has_the_same_keys(made: tuple[str, Engine]) -> None:
    service, engine = made
    found = inspect(engine)
    names = {name for name in found.get_table_names() if not name.endswith("alembic_version")}
    assert {f"{service}.{name}" for name in names} == {name for name in TABLES if name.startswith(f"{service}.")}
    for name in names:
        table = TABLES[f"{service}.{name}"]
        if OF_THE_MESH in table.info:
            continue
        column = column_of(table)
        assert found.get_pk_constraint(name)["constrained_columns"][0] == column
        for key in found.get_foreign_keys(name):
            assert column in key["constrained_columns"], name


def test_the_database_refuses_a_key_to_another_tenants_row(made: tuple[str, Engine]) -> None:
    service, engine = made
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        for name, table in TABLES.items():
            if not name.startswith(f"{service}.") or not table.foreign_key_constraints:
                continue
            rows = _rows_of_two_tenants(table)
            for parent, row in rows[:-1]:
                connection.execute(parent.insert().prefix_with("OR IGNORE").values(row))
            connection.commit()
            child, row = rows[-1]
            with pytest.raises(IntegrityError, match="FOREIGN KEY"):
                connection.execute(child.insert().values(row))
            connection.rollback()


def _rows_of_two_tenants(table: Table) -> list[tuple[Table, dict[str, object]]]:
    """What `table` refers to, for tenant a, then a row of tenant b that refers to it; parents first."""
    found: list[tuple[Table, dict[str, object]]] = []
    for key in table.foreign_key_constraints:
        found += [(parent, _row(parent, "a")) for parent in _parents(key.referred_table)]
    return [*found, (table, _row(table, "b"))]


def _parents(table: Table) -> list[Table]:
    above = [each for key in table.foreign_key_constraints for each in _parents(key.referred_table)]
    return [*above, table]


def _row(table: Table, tenant: str) -> dict[str, object]:
    row: dict[str, object] = {}
    for column in table.columns:
        if column.nullable:
            continue
        kind = column.type.python_type
        row[column.name] = kind(1) if kind is not bytes else b"1"
    return row | {column_of(table): tenant}
