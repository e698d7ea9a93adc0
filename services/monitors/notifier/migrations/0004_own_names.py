"""Names of tables that no other service uses."""

from alembic import op

from monitors.notifier.migrations import TABLES, first_name

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Renames the tables."""
    for table in TABLES:
        if first_name(table) == table:
            op.rename_table(table, f"notifier_{table}")


def downgrade() -> None:
    """Gives the tables their first names."""
    for table in TABLES:
        if first_name(table) == table:
            op.rename_table(f"notifier_{table}", table)
