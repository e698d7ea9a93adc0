"""The tier of a channel's tenant, by which goes how much it may be sent."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    """Adds the column; empty is the tier of tenants that have none of their own."""
    op.add_column("notifier_channels", sa.Column("tier", sa.String(64), nullable=False, server_default=""))


def downgrade() -> None:
    """Removes it."""
    op.drop_column("notifier_channels", "tier")
