"""What is told together, and when."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Makes the table, and the columns that say of a delivery with which others it's told."""
    op.create_table(
        "notifier_groups",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("group_key", sa.String(length=64), nullable=False),
        sa.Column("flush_at", sa.BigInteger(), nullable=False),
        sa.Column("is_opening", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "group_key", name=op.f("pk_notifier_groups")),
    )
    op.create_index("ix_groups_flush", "notifier_groups", ["flush_at"])
    op.add_column("notifier_deliveries", sa.Column("group_key", sa.String(64), nullable=False, server_default=""))
    op.add_column("notifier_deliveries", sa.Column("message_id", sa.String(80), nullable=False, server_default=""))
    op.create_index(
        "ix_deliveries_group",
        "notifier_deliveries",
        ["tenant_id", "group_key", "state", "sequence"],
        sqlite_where=sa.text("group_key <> ''"),
    )


def downgrade() -> None:
    """Removes them."""
    op.drop_index("ix_deliveries_group", "notifier_deliveries")
    op.drop_column("notifier_deliveries", "message_id")
    op.drop_column("notifier_deliveries", "group_key")
    op.drop_table("notifier_groups")
