"""Which alerts were resolved by hand, for those who watch rules."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "manual_resolutions",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("alert_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("resolve_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "alert_id"], ["alerts.tenant_id", "alerts.id"], name=op.f("fk_manual_resolutions_alerts")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "alert_id", name=op.f("pk_manual_resolutions")),
        sa.UniqueConstraint("revision", name=op.f("uq_manual_resolutions_revision")),
    )
