"""Which e-mail addresses are verified. Those that channels have before this are: what a channel says of its addresses
stands with it, and of these it says nothing."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "notifier_addresses",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("mark", sa.String(length=64), nullable=False),
        sa.Column("verified_at", sa.BigInteger(), nullable=False),
        sa.Column("unsubscribed_at", sa.BigInteger(), nullable=False),
        sa.Column("code_id", sa.String(length=32), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("code_until", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.Column("day_start", sa.BigInteger(), nullable=False),
        sa.Column("sent_count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "mark", name=op.f("pk_notifier_addresses")),
    )


def downgrade() -> None:
    """Removes the table."""
    op.drop_table("notifier_addresses")
