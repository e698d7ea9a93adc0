"""Up to when each evaluator has evaluated."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Adds the column."""
    op.add_column("evaluators", sa.Column("evaluate_time", sa.BigInteger(), nullable=True))
