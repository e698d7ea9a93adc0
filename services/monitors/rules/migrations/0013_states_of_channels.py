"""Whether a channel tells anybody, as the notifier mirrors it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    """Adds the column; 0 is a channel that works."""
    op.add_column("channel_names", sa.Column("state", sa.SmallInteger(), nullable=False, server_default="0"))
