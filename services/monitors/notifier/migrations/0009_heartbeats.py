"""Which channels are told that the mesh is alive, and when next."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"

TABLE = "notifier_channels"


def upgrade() -> None:
    """Adds the columns; a channel that an earlier version makes has none."""
    op.add_column(TABLE, sa.Column("heartbeat_interval", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column(TABLE, sa.Column("heartbeat_at", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_index("ix_channels_heartbeat", TABLE, ["heartbeat_at"])


def downgrade() -> None:
    """Removes the columns."""
    op.drop_index("ix_channels_heartbeat", TABLE)
    op.drop_column(TABLE, "heartbeat_at")
    op.drop_column(TABLE, "heartbeat_interval")
