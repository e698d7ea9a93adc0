"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "alerts",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("rule_id", sa.String(length=40), nullable=False),
        sa.Column("monitor_id", sa.String(length=256), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("group", sa.Text(), nullable=False),
        sa.Column("instance_key", sa.String(length=64), nullable=False),
        sa.Column("open_key", sa.String(length=64), nullable=True),
        sa.Column("episode", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.String(length=200), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("condition_text", sa.Text(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("fire_time", sa.BigInteger(), nullable=False),
        sa.Column("record_time", sa.BigInteger(), nullable=False),
        sa.Column("labels", sa.Text(), nullable=False),
        sa.Column("annotations", sa.Text(length=16777215), nullable=False),
        sa.Column("channels", sa.Text(), nullable=False),
        sa.Column("suppress_reason", sa.String(length=20), nullable=False),
        sa.Column("told_time", sa.BigInteger(), nullable=True),
        sa.Column("resolve_time", sa.BigInteger(), nullable=True),
        sa.Column("resolve_reason", sa.String(length=100), nullable=False),
        sa.Column("acknowledge_user", sa.String(length=100), nullable=False),
        sa.Column("acknowledge_time", sa.BigInteger(), nullable=True),
        sa.Column("acknowledge_note", sa.Text(), nullable=False),
        sa.Column("traceparent", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_alerts")),
        sa.UniqueConstraint("tenant_id", "open_key", name=op.f("uq_alerts_tenant_id_open_key")),
    )
    op.create_index("ix_alerts_fired", "alerts", ["tenant_id", "fire_time", "id"], unique=False)
    op.create_index("ix_alerts_instance", "alerts", ["tenant_id", "instance_key", "told_time"], unique=False)
    op.create_index("ix_alerts_rule", "alerts", ["tenant_id", "rule_id", "open_key"], unique=False)
    op.create_table(
        "channel_names",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("is_default", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "name", name=op.f("pk_channel_names")),
    )
    op.create_table(
        "counters",
        sa.Column("name", sa.String(length=40), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_counters")),
    )
    op.create_table(
        "deleted_rules",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("rule_id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("delete_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "rule_id", name=op.f("pk_deleted_rules")),
        sa.UniqueConstraint("revision", name=op.f("uq_deleted_rules_revision")),
    )
    op.create_table(
        "monitors",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_monitors")),
    )
    op.create_table(
        "requests",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("method", sa.String(length=40), nullable=False),
        sa.Column("request_id", sa.String(length=64), nullable=False),
        sa.Column("request_digest", sa.String(length=64), nullable=False),
        sa.Column("response", sa.LargeBinary(length=4294967295), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "method", "request_id", name=op.f("pk_requests")),
    )
    op.create_index("ix_requests_created", "requests", ["create_time"], unique=False)
    op.create_table(
        "rules",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sa.Column("monitor_id", sa.String(length=256), nullable=False),
        sa.Column("is_pattern", sa.Boolean(), nullable=False),
        sa.Column("title_folded", sa.String(length=800), nullable=False),
        sa.Column("severity", sa.Integer(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(length=4294967295), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_rules")),
        sa.UniqueConstraint("revision", name=op.f("uq_rules_revision")),
    )
    op.create_index("ix_rules_created", "rules", ["tenant_id", "create_time", "id"], unique=False)
    op.create_index("ix_rules_monitor", "rules", ["tenant_id", "monitor_id"], unique=False)
    op.create_table(
        "shard_states",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(length=4294967295), nullable=False),
        sa.Column("save_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_shard_states")),
    )
    op.create_table(
        "shards",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=256), nullable=False),
        sa.Column("address", sa.String(length=256), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_shards")),
    )
    op.create_table(
        "tenants",
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
    )
    op.create_table(
        "alert_events",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("alert_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("record_time", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.Double(), nullable=True),
        sa.Column("user", sa.String(length=100), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("once_key", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["tenant_id", "alert_id"], ["alerts.tenant_id", "alerts.id"], name=op.f("fk_alert_events_alerts")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "sequence", name=op.f("pk_alert_events")),
        sa.UniqueConstraint("tenant_id", "once_key", name=op.f("uq_alert_events_tenant_id_once_key")),
    )
    op.create_index("ix_alert_events_alert", "alert_events", ["tenant_id", "alert_id", "sequence"], unique=False)
    op.create_table(
        "deliveries",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("notification_id", sa.String(length=40), nullable=False),
        sa.Column("channel", sa.String(length=64), nullable=False),
        sa.Column("alert_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("attempt_count", sa.BigInteger(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "alert_id"], ["alerts.tenant_id", "alerts.id"], name=op.f("fk_deliveries_alerts")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "notification_id", "channel", name=op.f("pk_deliveries")),
    )
    op.create_index("ix_deliveries_alert", "deliveries", ["tenant_id", "alert_id"], unique=False)
    op.create_table(
        "keys",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("digest", sa.LargeBinary(length=32), nullable=False),
        sa.Column("title", sa.String(length=100), nullable=False),
        sa.Column("scopes", sa.String(length=500), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.Column("expire_time", sa.BigInteger(), nullable=True),
        sa.Column("last_use_time", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_keys_tenants")),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_keys")),
        sa.UniqueConstraint("id", name=op.f("uq_keys_id")),
    )
    op.create_table(
        "monitor_fields",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("monitor_id", sa.String(length=256), nullable=False),
        sa.Column("field_key", sa.String(length=64), nullable=False),
        sa.Column("measurement", sa.String(length=1024), nullable=False),
        sa.Column("field", sa.String(length=1024), nullable=False),
        sa.Column("type", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "monitor_id"], ["monitors.tenant_id", "monitors.id"], name=op.f("fk_monitor_fields_monitors")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "monitor_id", "field_key", name=op.f("pk_monitor_fields")),
    )
    op.create_table(
        "outbox",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("id", sa.String(length=40), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("alert_id", sa.String(length=40), nullable=False),
        sa.Column("kind", sa.Integer(), nullable=False),
        sa.Column("stream_key", sa.String(length=110), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("due_time", sa.BigInteger(), nullable=False),
        sa.Column("lease_token", sa.String(length=64), nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=False),
        sa.Column("body", sa.LargeBinary(length=4294967295), nullable=False),
        sa.Column("create_time", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "alert_id"], ["alerts.tenant_id", "alerts.id"], name=op.f("fk_outbox_alerts")
        ),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("sequence", name=op.f("uq_outbox_sequence")),
    )
    op.create_index("ix_outbox_alert", "outbox", ["tenant_id", "alert_id"], unique=False)
    op.create_index("ix_outbox_created", "outbox", ["create_time"], unique=False)
    op.create_index("ix_outbox_due", "outbox", ["state", "due_time"], unique=False)
    op.create_index("ix_outbox_id", "outbox", ["id"], unique=False)
    op.create_index("ix_outbox_stream", "outbox", ["tenant_id", "stream_key", "state", "sequence"], unique=False)
    op.create_index("ix_outbox_waiting", "outbox", ["state", "sequence"], unique=False)
    op.create_table(
        "rule_attributes",
        sa.Column("tenant_id", sa.String(length=40), nullable=False),
        sa.Column("rule_id", sa.String(length=40), nullable=False),
        sa.Column("name", sa.String(length=80), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["tenant_id", "rule_id"],
            ["rules.tenant_id", "rules.id"],
            name=op.f("fk_rule_attributes_rules"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("tenant_id", "rule_id", "name", "value", name=op.f("pk_rule_attributes")),
    )
    op.create_index("ix_rule_attributes_value", "rule_attributes", ["tenant_id", "name", "value"], unique=False)
