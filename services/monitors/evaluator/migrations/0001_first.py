"""Series, batches of points, and the newest point of each series."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

LARGE = 2**32 - 1


def upgrade() -> None:
    op.create_table(
        "series",
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("series_index", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("monitor_id", sa.String(256), nullable=False),
        sa.Column("measurement", sa.String(256), nullable=False),
        sa.Column("field", sa.String(256), nullable=False),
        sa.Column("tags", sa.LargeBinary(LARGE), nullable=False),
        sa.Column("type", sa.SmallInteger, nullable=False),
        sa.UniqueConstraint("series_index", name="uq_series_index"),
    )
    op.create_table(
        "batches",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("first_number", sa.BigInteger, nullable=False),
        sa.Column("accepted_at", sa.BigInteger, nullable=False),
        sa.Column("first_time", sa.BigInteger, nullable=False),
        sa.Column("last_time", sa.BigInteger, nullable=False),
        sa.Column("point_count", sa.BigInteger, nullable=False),
        sa.Column("format", sa.SmallInteger, nullable=False),
        sa.Column("parts", sa.LargeBinary(LARGE), nullable=False),
        sa.Column("points", sa.LargeBinary(LARGE), nullable=False),
    )
    op.create_index("ix_batches_last_time", "batches", ["last_time"])
    op.create_table(
        "newest",
        sa.Column("id", sa.SmallInteger, primary_key=True, autoincrement=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("format", sa.SmallInteger, nullable=False),
        sa.Column("points", sa.LargeBinary(LARGE), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("newest")
    op.drop_index("ix_batches_last_time", "batches")
    op.drop_table("batches")
    op.drop_table("series")
