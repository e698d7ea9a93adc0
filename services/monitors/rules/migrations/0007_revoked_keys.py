"""When keys were revoked, and who made them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Adds the columns, and the index that lists of keys are read by."""
    op.add_column("keys", sa.Column("revoke_time", sa.BigInteger(), nullable=True))
    op.add_column("keys", sa.Column("creator", sa.String(length=100), nullable=True))
    op.create_index("ix_keys_created", "keys", ["tenant_id", "create_time", "id"])
