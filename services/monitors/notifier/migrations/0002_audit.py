"""Who changed what."""

import sqlalchemy as sa
from alembic import op

from monitors.notifier.migrations import first_name

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        first_name("audit"),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("time", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("user", sa.String(length=100), nullable=False),
        sa.Column("method", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("resource_id", sa.String(length=256), nullable=False),
        sa.Column("client", sa.String(length=100), nullable=False),
        sa.Column("client_version", sa.String(length=100), nullable=False),
        sa.Column("mcp_client", sa.String(length=100), nullable=False),
        sa.Column("tool", sa.String(length=100), nullable=False),
        sa.Column("before_state", sa.Text(), nullable=False),
        sa.Column("after_state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "time", "id", name=op.f("pk_audit")),
    )
    for name in ("user", "kind", "resource_id"):
        op.create_index(f"ix_audit_{name}", first_name("audit"), ["tenant_id", name, "time", "id"], unique=False)


def downgrade() -> None:
    """Removes the table."""
    op.drop_table(first_name("audit"))
