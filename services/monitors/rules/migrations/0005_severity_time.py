"""When an alert's severity changed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("alerts", sa.Column("severity_time", sa.BigInteger(), nullable=True))
