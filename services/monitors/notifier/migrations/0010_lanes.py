"""What waits is found by tenant and channel, instead of all in one row."""

from alembic import op

revision = "0010"
down_revision = "0009"
TABLE = "notifier_deliveries"
LANES = ["state", "severity", "tenant_id", "channel_id", "next_at", "sequence"]
ORDER = ["state", "severity", "next_at", "sequence", "channel_id"]


def upgrade() -> None:
    """Makes the index. The one before serves nobody but older notifiers, which are slower without."""
    op.create_index("ix_deliveries_lanes", TABLE, LANES)
    op.drop_index("ix_deliveries_order", TABLE)


def downgrade() -> None:
    """Brings the former index back."""
    op.create_index("ix_deliveries_order", TABLE, ORDER)
    op.drop_index("ix_deliveries_lanes", TABLE)
