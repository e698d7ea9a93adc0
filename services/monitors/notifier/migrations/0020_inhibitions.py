"""Alerts of which nobody is told while others fire."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "notifier_inhibitions",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("sources", sa.Text(), nullable=False),
        sa.Column("targets", sa.Text(), nullable=False),
        sa.Column("equal_names", sa.Text(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notifier_inhibitions")),
        sa.UniqueConstraint("tenant_id", "name", name="uq_inhibitions_name"),
    )
    op.create_table(
        "notifier_inhibiting",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("inhibition_key", sa.String(length=40), nullable=False),
        sa.Column("is_target", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "alert_id", "inhibition_key", name=op.f("pk_notifier_inhibiting")),
    )
    op.create_index(
        "ix_inhibiting_key", "notifier_inhibiting", ["tenant_id", "inhibition_key", "is_target", "alert_id"]
    )
    op.create_table(
        "notifier_inhibited",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("inhibition_key", sa.String(length=40), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "inhibition_key", "alert_id", name=op.f("pk_notifier_inhibited")),
    )


def downgrade() -> None:
    """Removes the tables."""
    op.drop_table("notifier_inhibited")
    op.drop_table("notifier_inhibiting")
    op.drop_table("notifier_inhibitions")
