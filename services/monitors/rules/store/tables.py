"""The tables. Every row carries its tenant, and so does every key; times are nanoseconds since 1970.

Those that belong to the mesh as a whole say why.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from monitors.mesh.audit_table import audit_table
from monitors.mesh.tenancy import OF_THE_MESH, TENANT_COLUMN

metadata = MetaData()
# Names as migrations give them, the same on every database.
metadata.naming_convention = {
    "pk": "pk_%(table_name)s",
    "fk": "fk_%(table_name)s_%(referred_table_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
}
TENANT = String(40)
ID = String(40)
DIGEST = String(64)
BLOB = LargeBinary(2**32 - 1)

tenants = Table(
    "tenants",
    metadata,
    Column("id", TENANT, primary_key=True),
    Column("create_time", BigInteger, nullable=False),
    # None for the one that the operator gives to those without.
    Column("tier", String(20)),
    # The key that a RuleService has made for it, and the file, so that no other one makes another; None without.
    Column("first_key_id", ID),
    Column("first_key_place", Text),
    info={TENANT_COLUMN: "id"},
)

keys = Table(
    "keys",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("digest", LargeBinary(32), nullable=False),
    Column("title", String(100), nullable=False),
    Column("scopes", String(500), nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger),
    Column("last_use_time", BigInteger),
    # A key that was revoked stays: it can be told that it was, and it can be seen who made it.
    Column("revoke_time", BigInteger),
    # None for the keys that were made before it was noted.
    Column("creator", String(100)),
    # The user's in the existing user system, whose ids may be of any length; None for a key that ends with none.
    Column("account", Text),
    ForeignKeyConstraint(["tenant_id"], ["tenants.id"]),
    # The key's text names the id alone; the tenant follows from it.
    UniqueConstraint("id"),
    Index("ix_keys_created", "tenant_id", "create_time", "id"),
)

counters = Table(
    "counters",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", BigInteger, nullable=False),
    info={OF_THE_MESH: "numbers that grow over all tenants in the order of commit"},
)

monitors = Table(
    "monitors",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("id", String(256), primary_key=True),
    Column("create_time", BigInteger, nullable=False),
)

monitor_fields = Table(
    "monitor_fields",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("monitor_id", String(256), primary_key=True),
    # The names are too long for a key of MySQL: their digest stands in for them.
    Column("field_key", DIGEST, primary_key=True),
    Column("measurement", String(1024), nullable=False),
    Column("field", String(1024), nullable=False),
    Column("type", Integer, nullable=False),
    ForeignKeyConstraint(["tenant_id", "monitor_id"], ["monitors.tenant_id", "monitors.id"]),
)

rules = Table(
    "rules",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("monitor_id", String(256), nullable=False),
    Column("is_pattern", Boolean, nullable=False),
    Column("title_folded", String(800), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("enabled", Boolean, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    # None for the many rules that have none: the database itself holds that no two have the same.
    Column("key", String(128)),
    # The whole rule as a serialised monitors.v1.Rule: old and new versions of the service read each other's.
    Column("body", BLOB, nullable=False),
    Index("ix_rules_key", "tenant_id", "key", unique=True),
    Index("ix_rules_created", "tenant_id", "create_time", "id"),
    Index("ix_rules_monitor", "tenant_id", "monitor_id"),
)

rule_attributes = Table(
    "rule_attributes",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("rule_id", ID, primary_key=True),
    # `notify` with a channel, or `label.NAME` with its value.
    Column("name", String(80), primary_key=True),
    Column("value", String(256), primary_key=True),
    ForeignKeyConstraint(["tenant_id", "rule_id"], ["rules.tenant_id", "rules.id"], ondelete="CASCADE"),
    Index("ix_rule_attributes_value", "tenant_id", "name", "value"),
)

deleted_rules = Table(
    "deleted_rules",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("rule_id", ID, primary_key=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("delete_time", BigInteger, nullable=False),
)

# What evaluators are told beyond rules: that somebody has resolved an alert. In the order of the rules' revisions.
manual_resolutions = Table(
    "manual_resolutions",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("alert_id", ID, primary_key=True),
    Column("revision", BigInteger, nullable=False, unique=True),
    Column("resolve_time", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant_id", "alert_id"], ["alerts.tenant_id", "alerts.id"]),
)

alerts = Table(
    "alerts",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("id", ID, primary_key=True),
    Column("rule_id", ID, nullable=False),
    Column("monitor_id", String(256), nullable=False),
    Column("shard", Integer, nullable=False),
    Column("group", Text, nullable=False),
    Column("instance_key", DIGEST, nullable=False),
    # The instance's key while the alert is open: the database itself holds that there is one at most.
    Column("open_key", DIGEST),
    Column("episode", BigInteger, nullable=False),
    Column("title", String(200), nullable=False),
    Column("severity", Integer, nullable=False),
    Column("condition_text", Text, nullable=False),
    Column("value", Double),
    Column("fire_time", BigInteger, nullable=False),
    Column("record_time", BigInteger, nullable=False),
    Column("labels", Text, nullable=False),
    Column("annotations", Text(2**24 - 1), nullable=False),
    Column("channels", Text, nullable=False),
    Column("suppress_reason", String(20), nullable=False),
    Column("told_time", BigInteger),
    Column("resolve_time", BigInteger),
    Column("resolve_reason", String(100), nullable=False),
    Column("acknowledge_user", String(100), nullable=False),
    Column("acknowledge_time", BigInteger),
    Column("acknowledge_note", Text, nullable=False),
    Column("traceparent", String(100), nullable=False),
    Column("severity_time", BigInteger),
    UniqueConstraint("tenant_id", "open_key"),
    Index("ix_alerts_fired", "tenant_id", "fire_time", "id"),
    Index("ix_alerts_instance", "tenant_id", "instance_key", "told_time"),
    Index("ix_alerts_rule", "tenant_id", "rule_id", "open_key"),
)

alert_events = Table(
    "alert_events",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    # Grows over all tenants in the order of commit.
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_id", ID, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("record_time", BigInteger, nullable=False),
    Column("value", Double),
    Column("user", String(100), nullable=False),
    Column("detail", Text, nullable=False),
    # Of rule, instance, episode and kind for an evaluator's transition, and of the time for a change of severity: a
    # repeat can't be recorded twice.
    Column("once_key", DIGEST),
    UniqueConstraint("tenant_id", "once_key"),
    # No foreign key to the alert, here and in the outbox: it's written, and never deleted, in the same transaction, and
    # to look for it again would cost every transition as much as its index.
    Index("ix_alert_events_alert", "tenant_id", "alert_id", "sequence"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("id", ID, primary_key=True),
    # The event's; the order in which messages of one stream are told.
    Column("sequence", BigInteger, nullable=False, unique=True),
    Column("alert_id", ID, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("stream_key", String(110), nullable=False),
    # 0 waiting, 1 taken over by the notifier, 2 not to be sent.
    Column("state", Integer, nullable=False),
    Column("due_time", BigInteger, nullable=False),
    Column("lease_token", String(64), nullable=False),
    Column("lease_until", BigInteger, nullable=False),
    # A serialised monitors.v1.Notification, less its sequence.
    Column("body", BLOB, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Index("ix_outbox_due", "state", "due_time", "sequence"),
    Index("ix_outbox_stream", "tenant_id", "stream_key", "state", "sequence"),
    Index("ix_outbox_id", "id"),
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("notification_id", ID, primary_key=True),
    Column("channel", String(64), primary_key=True),
    Column("alert_id", ID, nullable=False),
    Column("kind", Integer, nullable=False),
    Column("state", Integer, nullable=False),
    Column("attempt_count", BigInteger, nullable=False),
    Column("detail", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    ForeignKeyConstraint(["tenant_id", "alert_id"], ["alerts.tenant_id", "alerts.id"]),
    Index("ix_deliveries_alert", "tenant_id", "alert_id"),
)

shards = Table(
    "shards",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("owner", String(256), nullable=False),
    Column("address", String(256), nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    info={OF_THE_MESH: "a shard holds monitors of all tenants"},
)

evaluators = Table(
    "evaluators",
    metadata,
    Column("id", String(256), primary_key=True),
    Column("address", String(256), nullable=False),
    Column("join_time", BigInteger, nullable=False),
    Column("expire_time", BigInteger, nullable=False),
    Column("exclusive", Boolean, nullable=False),
    Column("evaluate_time", BigInteger),
    info={OF_THE_MESH: "an evaluator evaluates for all tenants"},
)

shard_states = Table(
    "shard_states",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("state", BLOB, nullable=False),
    Column("save_time", BigInteger, nullable=False),
    info={OF_THE_MESH: "a shard's state is of all its tenants, in a format that only evaluators read"},
)

channel_names = Table(
    "channel_names",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("kind", String(40), nullable=False),
    Column("is_default", Boolean, nullable=False),
    Column("state", SmallInteger, nullable=False, server_default="0"),
)

requests = Table(
    "requests",
    metadata,
    Column("tenant_id", TENANT, primary_key=True),
    Column("method", String(40), primary_key=True),
    Column("request_id", String(64), primary_key=True),
    Column("request_digest", DIGEST, nullable=False),
    Column("response", BLOB, nullable=False),
    Column("create_time", BigInteger, nullable=False),
    Index("ix_requests_created", "create_time"),
)

audit = audit_table(metadata)
