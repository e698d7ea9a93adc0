"""Keys of ours that are sealed with the master keys, so that they outlive them."""

import sqlalchemy as sa
from alembic import op

from monitors.notifier.migrations import first_name

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        first_name("sealed_keys"),
        sa.Column("name", sa.String(40), primary_key=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
    )


def downgrade() -> None:
    """Removes the table."""
    op.drop_table(first_name("sealed_keys"))
