"""With whose account a key ends."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("keys", sa.Column("account", sa.Text(), nullable=True))
