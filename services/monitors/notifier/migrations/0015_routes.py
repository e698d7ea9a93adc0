"""Where alerts are told whose rules name no channel; and whether what a tenant has set of that has changed."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "notifier_routes",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("matchers", sa.Text(), nullable=False),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("continues", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notifier_routes")),
        sa.UniqueConstraint("tenant_id", "name", name="uq_routes_name"),
    )
    op.create_table(
        "notifier_policy_versions",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name=op.f("pk_notifier_policy_versions")),
    )


def downgrade() -> None:
    """Removes the tables."""
    op.drop_table("notifier_policy_versions")
    op.drop_table("notifier_routes")
