"""The keys of rules that are kept in files."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the column, empty for all rules that there are."""
    # Not in batch mode: that copies the table, and to drop the old one would delete what refers to it.
    op.add_column("rules", sa.Column("key", sa.String(length=128), nullable=True))
    op.create_index("ix_rules_key", "rules", ["tenant_id", "key"], unique=True)
