"""Sealed blocks of points."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

LARGE = 2**32 - 1


def upgrade() -> None:
    op.create_table(
        "blocks",
        # SQLite finds a row by its INTEGER key without a second index, and an index holds that key.
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        sa.Column("first_time", sa.BigInteger, nullable=False),
        sa.Column("last_time", sa.BigInteger, nullable=False),
        sa.Column("first_series", sa.BigInteger, nullable=False),
        sa.Column("last_series", sa.BigInteger, nullable=False),
        sa.Column("point_count", sa.BigInteger, nullable=False),
        sa.Column("format", sa.SmallInteger, nullable=False),
        sa.Column("points", sa.LargeBinary(LARGE), nullable=False),
    )
    # Everything that says whether a block is wanted, so that only wanted ones are touched.
    op.create_index(
        "ix_blocks_wanted", "blocks", ["last_time", "first_time", "first_series", "last_series", "point_count"]
    )
    op.create_index("ix_blocks_number", "blocks", ["number"])


def downgrade() -> None:
    op.drop_index("ix_blocks_number", "blocks")
    op.drop_index("ix_blocks_wanted", "blocks")
    op.drop_table("blocks")
