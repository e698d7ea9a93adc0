"""What the messages of channels say."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Adds the columns; null is the usual words."""
    op.add_column("notifier_channels", sa.Column("title_template", sa.Text, nullable=True))
    op.add_column("notifier_channels", sa.Column("body_template", sa.Text, nullable=True))


def downgrade() -> None:
    """Removes them."""
    op.drop_column("notifier_channels", "body_template")
    op.drop_column("notifier_channels", "title_template")
