"""The versions of the notifier's schema."""

TABLES = ("channels", "deliveries", "attempts", "requests", "audit", "sealed_keys")


def first_name(table: str) -> str:
    """What a table is called by the migrations before 0004. That gives the tables of a SQLite file names that other
    services don't use; on a server, where several may share a database, they have had them from the beginning."""
    # Imported only by a migration that runs: a start that needs none is quicker without it.
    from alembic import op

    return table if op.get_bind().dialect.name == "sqlite" else f"notifier_{table}"
