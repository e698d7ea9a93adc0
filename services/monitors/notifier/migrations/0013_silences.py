"""Silences, and until when an alert that fires isn't told."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Makes the table and adds the column."""
    op.create_table(
        "notifier_silences",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("matchers", sa.Text(), nullable=False),
        sa.Column("start_at", sa.BigInteger(), nullable=False),
        sa.Column("end_at", sa.BigInteger(), nullable=False),
        sa.Column("comment", sa.String(length=500), nullable=False),
        sa.Column("creator", sa.String(length=200), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notifier_silences")),
    )
    op.create_index("ix_silences_end", "notifier_silences", ["tenant_id", "end_at"])
    op.add_column("notifier_repeats", sa.Column("muted_until", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Removes both."""
    op.drop_column("notifier_repeats", "muted_until")
    op.drop_table("notifier_silences")
