"""Fewer indexes for each notification to be written to, and a row that is locked by whoever leases some."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Lets one index give what is due in order, and drops those that nothing is read by any more."""
    op.drop_index("ix_outbox_due", "outbox")
    op.create_index("ix_outbox_due", "outbox", ["state", "due_time", "sequence"])
    op.drop_index("ix_outbox_waiting", "outbox")
    op.drop_index("ix_outbox_created", "outbox")
    op.execute("INSERT INTO counters (name, value) VALUES ('leases', 0)")
