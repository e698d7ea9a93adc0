"""Fewer indexes for each step of a delivery to be written to."""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLE = "notifier_deliveries"


def upgrade() -> None:
    """Drops those instead of which the index of what waits, in order, serves."""
    op.drop_index("ix_deliveries_due", TABLE)
    op.drop_index("ix_deliveries_channel", TABLE)


def downgrade() -> None:
    """Makes them again."""
    op.create_index("ix_deliveries_due", TABLE, ["state", "next_at"])
    op.create_index("ix_deliveries_channel", TABLE, ["tenant_id", "channel_id", "state"])
