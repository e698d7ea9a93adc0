"""The first tables: channels, deliveries, attempts, requests."""

import sqlalchemy as sa
from alembic import op

from monitors.notifier.migrations import first_name

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        first_name("channels"),
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary(2**32 - 1), nullable=False),
        sa.Column("is_default", sa.Boolean, nullable=False),
        sa.Column("send_resolved", sa.Boolean, nullable=False),
        sa.Column("disabled_reason", sa.String(1000), nullable=False),
        sa.Column("quiet_until", sa.BigInteger, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant_id", "name", name="uq_channels_name"),
    )
    _deliveries()
    op.create_table(
        first_name("attempts"),
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("delivery_id", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger, nullable=False),
        sa.Column("outcome", sa.SmallInteger, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("detail", sa.String(1000), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "delivery_id"],
            [f"{first_name('deliveries')}.tenant_id", f"{first_name('deliveries')}.id"],
            name="fk_attempts_delivery",
        ),
    )
    op.create_table(
        first_name("requests"),
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("method", sa.String(64), primary_key=True),
        sa.Column("request_id", sa.String(64), primary_key=True),
        sa.Column("request_hash", sa.LargeBinary, nullable=False),
        sa.Column("sealed", sa.LargeBinary(2**32 - 1), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
    )
    op.create_index("ix_requests_created", first_name("requests"), ["created_at"])


def _deliveries() -> None:
    op.create_table(
        first_name("deliveries"),
        sa.Column("tenant_id", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("notification_id", sa.String(64), nullable=False),
        sa.Column("alert_id", sa.String(64), nullable=False),
        sa.Column("channel_id", sa.String(32), nullable=False),
        sa.Column("channel_name", sa.String(64), nullable=False),
        sa.Column("kind", sa.SmallInteger, nullable=False),
        sa.Column("severity", sa.SmallInteger, nullable=False),
        sa.Column("stream_key", sa.String(64), nullable=False),
        sa.Column("sequence", sa.BigInteger, nullable=False),
        sa.Column("payload", sa.LargeBinary(2**32 - 1), nullable=False),
        sa.Column("state", sa.SmallInteger, nullable=False),
        sa.Column("detail", sa.String(1000), nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("last_outcome", sa.SmallInteger, nullable=False),
        sa.Column("next_at", sa.BigInteger, nullable=False),
        sa.Column("lease_token", sa.String(32), nullable=False),
        sa.Column("leased_at", sa.BigInteger, nullable=False),
        sa.Column("lease_until", sa.BigInteger, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("report_due", sa.Boolean, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("updated_at", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("tenant_id", "notification_id", "channel_name", name="uq_deliveries_notification_channel"),
    )
    for name, columns in (
        ("due", ["state", "next_at"]),
        ("order", ["state", "severity", "next_at", "sequence", "channel_id"]),
        ("stream", ["tenant_id", "stream_key", "state", "sequence"]),
        ("newest", ["tenant_id", "created_at", "id"]),
        ("alert", ["tenant_id", "alert_id"]),
        ("channel", ["tenant_id", "channel_id", "state"]),
        ("report", ["report_due"]),
    ):
        op.create_index(f"ix_deliveries_{name}", first_name("deliveries"), columns)


def downgrade() -> None:
    """Removes the tables."""
    for table in ("requests", "attempts", "deliveries", "channels"):
        op.drop_table(first_name(table))
