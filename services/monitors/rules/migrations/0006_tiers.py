"""What each tenant may use."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("tenants", sa.Column("tier", sa.String(length=20), nullable=True))
