"""How channels group what they tell."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Adds the column; null is as usual for the kind of channel."""
    op.add_column("notifier_channels", sa.Column("grouping", sa.String(2000), nullable=True))


def downgrade() -> None:
    """Removes it."""
    op.drop_column("notifier_channels", "grouping")
