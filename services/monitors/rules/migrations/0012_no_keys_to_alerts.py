"""Fewer indexes, and none to be looked into, for what each transition writes."""

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Drops the foreign keys of events and of the outbox, and the index that only one of them needed."""
    for table in ("alert_events", "outbox"):
        with op.batch_alter_table(table) as batch:
            batch.drop_constraint(f"fk_{table}_alerts", type_="foreignkey")
    op.drop_index("ix_outbox_alert", "outbox")
