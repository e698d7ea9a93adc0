"""Where a tenant's first key was made."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    """Adds the columns; both are empty for a tenant without a first key, and until one is made known again."""
    op.add_column("tenants", sa.Column("first_key_id", sa.String(40), nullable=True))
    op.add_column("tenants", sa.Column("first_key_place", sa.Text(), nullable=True))
