"""The notifier's tables. Every row carries its tenant; times are nanoseconds since 1970, 0 where there is none."""

from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from monitors.mesh.audit_table import audit_table
from monitors.mesh.tenancy import OF_THE_MESH

# MySQL's own kinds of texts and blobs hold no more than 64 KiB.
BLOB = LargeBinary(2**32 - 1)
IN_A_GROUP = "group_key <> ''"


class Base(DeclarativeBase):
    """The notifier's schema; the migrations build the same."""


audit = audit_table(Base.metadata, "notifier_audit")


class ChannelRow(Base):
    """A channel. `sealed` is its target as JSON, encrypted; at `heartbeat_at` the next heartbeat is due, 0 is never.
    `grouping` is JSON, and null if it's as usual for the kind; so are templates for the usual words. `tier` is the
    tenant's."""

    __tablename__ = "notifier_channels"
    __table_args__ = (
        UniqueConstraint("tenant_id", "name", name="uq_channels_name"),
        Index("ix_channels_heartbeat", "heartbeat_at"),
    )

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(16))
    sealed: Mapped[bytes] = mapped_column(BLOB)
    is_default: Mapped[bool] = mapped_column(Boolean)
    send_resolved: Mapped[bool] = mapped_column(Boolean)
    disabled_reason: Mapped[str] = mapped_column(String(1000))
    quiet_until: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)
    created_at: Mapped[int] = mapped_column(BigInteger)
    heartbeat_interval: Mapped[int] = mapped_column(BigInteger, server_default="0")
    heartbeat_at: Mapped[int] = mapped_column(BigInteger, server_default="0")
    grouping: Mapped[str | None] = mapped_column(String(2000))
    title_template: Mapped[str | None] = mapped_column(Text)
    body_template: Mapped[str | None] = mapped_column(Text)
    tier: Mapped[str] = mapped_column(String(64), server_default="")


class DeliveryRow(Base):
    """One message to one channel: the queue and the log at once.

    `stream_key` is a hash of the channel and the notification's own stream; within it, rows are told by `sequence`.
    `group_key` names the group within which it's told, empty if it's told alone, and `message_id` the message that told
    it last together with others. `version` grows with each change that RuleService should know; `report_due` says that
    it doesn't yet.
    """

    __tablename__ = "notifier_deliveries"
    __table_args__ = (
        UniqueConstraint("tenant_id", "notification_id", "channel_name", name="uq_deliveries_notification_channel"),
        Index("ix_deliveries_lanes", "state", "severity", "tenant_id", "channel_id", "next_at", "sequence"),
        Index("ix_deliveries_stream", "tenant_id", "stream_key", "state", "sequence"),
        Index("ix_deliveries_newest", "tenant_id", "created_at", "id"),
        Index("ix_deliveries_alert", "tenant_id", "alert_id"),
        Index("ix_deliveries_report", "report_due"),
        # In a file, what is told alone isn't in it and costs nothing.
        Index("ix_deliveries_group", "tenant_id", "group_key", "state", "sequence", sqlite_where=text(IN_A_GROUP)),
    )

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    notification_id: Mapped[str] = mapped_column(String(64))
    alert_id: Mapped[str] = mapped_column(String(64))
    channel_id: Mapped[str] = mapped_column(String(32))
    channel_name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[int] = mapped_column(SmallInteger)
    severity: Mapped[int] = mapped_column(SmallInteger)
    stream_key: Mapped[str] = mapped_column(String(64))
    sequence: Mapped[int] = mapped_column(BigInteger)
    payload: Mapped[bytes] = mapped_column(BLOB)
    state: Mapped[int] = mapped_column(SmallInteger)
    detail: Mapped[str] = mapped_column(String(1000))
    attempt_count: Mapped[int] = mapped_column(Integer, default=0)
    last_outcome: Mapped[int] = mapped_column(SmallInteger, default=0)
    next_at: Mapped[int] = mapped_column(BigInteger)
    lease_token: Mapped[str] = mapped_column(String(32), default="")
    leased_at: Mapped[int] = mapped_column(BigInteger, default=0)
    lease_until: Mapped[int] = mapped_column(BigInteger, default=0)
    version: Mapped[int] = mapped_column(Integer, default=1)
    report_due: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[int] = mapped_column(BigInteger)
    updated_at: Mapped[int] = mapped_column(BigInteger)
    group_key: Mapped[str] = mapped_column(String(64), server_default="")
    message_id: Mapped[str] = mapped_column(String(80), server_default="")


class GroupRow(Base):
    """When the messages of a group go; see `model.flushing`."""

    __tablename__ = "notifier_groups"
    __table_args__ = (Index("ix_groups_flush", "flush_at"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    group_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    flush_at: Mapped[int] = mapped_column(BigInteger)
    is_opening: Mapped[bool] = mapped_column(Boolean)


class StormRow(Base):
    """How much has come to a channel lately; see `model.storm`."""

    __tablename__ = "notifier_storms"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    window_start: Mapped[int] = mapped_column(BigInteger)
    counted: Mapped[int] = mapped_column(Integer)
    singles: Mapped[int] = mapped_column(Integer)
    until: Mapped[int] = mapped_column(BigInteger)


class AttemptRow(Base):
    """One attempt to deliver; never changed."""

    __tablename__ = "notifier_attempts"
    __table_args__ = (
        ForeignKeyConstraint(
            ["tenant_id", "delivery_id"],
            ["notifier_deliveries.tenant_id", "notifier_deliveries.id"],
            name="fk_attempts_delivery",
        ),
    )

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    delivery_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    number: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    started_at: Mapped[int] = mapped_column(BigInteger)
    ended_at: Mapped[int] = mapped_column(BigInteger)
    outcome: Mapped[int] = mapped_column(SmallInteger)
    status: Mapped[int] = mapped_column(Integer)
    detail: Mapped[str] = mapped_column(String(1000))


class BreakerRow(Base):
    """How the endpoint of a channel fares that has failed lately; see `model.breaker`."""

    __tablename__ = "notifier_breakers"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    failures: Mapped[int] = mapped_column(Integer)
    failing_since: Mapped[int] = mapped_column(BigInteger)
    openings: Mapped[int] = mapped_column(Integer)
    open_until: Mapped[int] = mapped_column(BigInteger)
    window_start: Mapped[int] = mapped_column(BigInteger)
    window_attempts: Mapped[int] = mapped_column(Integer)
    window_failures: Mapped[int] = mapped_column(Integer)


class RepeatRow(Base):
    """When an alert that fires is told again to a channel; see `model.repeats`. `delivery_id` is what told it last that
    was news, or is about to tell it, or would have if it hadn't been muted until `muted_until`; `repeat_count` is how
    often it was told again."""

    __tablename__ = "notifier_repeats"
    __table_args__ = (Index("ix_repeats_due", "due_at"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    severity: Mapped[int] = mapped_column(SmallInteger)
    repeat_interval: Mapped[int] = mapped_column(BigInteger)
    told_at: Mapped[int] = mapped_column(BigInteger)
    quiet_until: Mapped[int] = mapped_column(BigInteger)
    due_at: Mapped[int] = mapped_column(BigInteger)
    delivery_id: Mapped[str] = mapped_column(String(32))
    repeat_count: Mapped[int] = mapped_column(Integer)
    muted_until: Mapped[int] = mapped_column(BigInteger, server_default="0")


class EscalationRow(Base):
    """How far the escalation of an alert has come that isn't over; see `model.escalation`. `made_count` is how many
    notifications were made of that, those of steps that wait until `muted_until` included."""

    __tablename__ = "notifier_escalations"
    __table_args__ = (Index("ix_escalations_due", "due_at"), Index("ix_escalations_policy", "tenant_id", "policy_id"))

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    policy_id: Mapped[str] = mapped_column(String(32))
    severity: Mapped[int] = mapped_column(SmallInteger)
    began_at: Mapped[int] = mapped_column(BigInteger)
    done_count: Mapped[int] = mapped_column(SmallInteger)
    made_count: Mapped[int] = mapped_column(Integer)
    quiet_until: Mapped[int] = mapped_column(BigInteger)
    muted_until: Mapped[int] = mapped_column(BigInteger)
    is_acknowledged: Mapped[bool] = mapped_column(Boolean)
    due_at: Mapped[int] = mapped_column(BigInteger)


class EscalationPolicyRow(Base):
    """Who is told next of alerts that nobody acknowledges. `matchers` and `steps` are JSON."""

    __tablename__ = "notifier_escalation_policies"
    __table_args__ = (UniqueConstraint("tenant_id", "name", name="uq_escalation_policies_name"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    position: Mapped[int] = mapped_column(Integer)
    matchers: Mapped[str] = mapped_column(Text)
    steps: Mapped[str] = mapped_column(Text)
    created_at: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)


class SilenceRow(Base):
    """Alerts of which nobody is told for a while; see `model.silences`. `matchers` is JSON: name, operator, value."""

    __tablename__ = "notifier_silences"
    __table_args__ = (Index("ix_silences_end", "tenant_id", "end_at"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    matchers: Mapped[str] = mapped_column(Text)
    start_at: Mapped[int] = mapped_column(BigInteger)
    end_at: Mapped[int] = mapped_column(BigInteger)
    comment: Mapped[str] = mapped_column(String(500))
    creator: Mapped[str] = mapped_column(String(200))
    created_at: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)


class MuteTimingRow(Base):
    """Hours in which nobody is told of some alerts; see `model.timings`. `matchers` and `windows` are JSON."""

    __tablename__ = "notifier_mute_timings"
    __table_args__ = (UniqueConstraint("tenant_id", "name", name="uq_mute_timings_name"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    matchers: Mapped[str] = mapped_column(Text)
    windows: Mapped[str] = mapped_column(Text)
    is_active: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)


class RouteRow(Base):
    """Where alerts are told; see `model.routes`. `matchers` and `channels`, which are names, are JSON."""

    __tablename__ = "notifier_routes"
    __table_args__ = (UniqueConstraint("tenant_id", "name", name="uq_routes_name"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    position: Mapped[int] = mapped_column(Integer)
    matchers: Mapped[str] = mapped_column(Text)
    channels: Mapped[str] = mapped_column(Text)
    continues: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)


class InhibitionRow(Base):
    """Alerts of which nobody is told while others fire; see `model.inhibitions`. Matchers and names are JSON."""

    __tablename__ = "notifier_inhibitions"
    __table_args__ = (UniqueConstraint("tenant_id", "name", name="uq_inhibitions_name"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    id: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    sources: Mapped[str] = mapped_column(Text)
    targets: Mapped[str] = mapped_column(Text)
    equal_names: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool] = mapped_column(Boolean)
    created_at: Mapped[int] = mapped_column(BigInteger)
    revision: Mapped[int] = mapped_column(Integer)


class InhibitingRow(Base):
    """An alert that fires and inhibits others, by the key of these; `is_target` says that it's of their kind itself."""

    __tablename__ = "notifier_inhibiting"
    __table_args__ = (Index("ix_inhibiting_key", "tenant_id", "inhibition_key", "is_target", "alert_id"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    inhibition_key: Mapped[str] = mapped_column(String(40), primary_key=True)
    is_target: Mapped[bool] = mapped_column(Boolean)


class InhibitedRow(Base):
    """An alert of which somebody wasn't told, by the key of what inhibited it; maybe over by now."""

    __tablename__ = "notifier_inhibited"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    inhibition_key: Mapped[str] = mapped_column(String(40), primary_key=True)
    alert_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class PolicyVersionRow(Base):
    """Differs whenever something has changed of what a tenant has set of who is told, and when."""

    __tablename__ = "notifier_policy_versions"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[str] = mapped_column(String(16))


class AddressRow(Base):
    """How an e-mail address stands with a tenant; see `model.verification`. `mark` stands for the address, which isn't
    stored here: it's made with a key, and differs from tenant to tenant."""

    __tablename__ = "notifier_addresses"

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    mark: Mapped[str] = mapped_column(String(64), primary_key=True)
    verified_at: Mapped[int] = mapped_column(BigInteger)
    unsubscribed_at: Mapped[int] = mapped_column(BigInteger)
    code_id: Mapped[str] = mapped_column(String(32))
    code_hash: Mapped[str] = mapped_column(String(64))
    code_until: Mapped[int] = mapped_column(BigInteger)
    tries: Mapped[int] = mapped_column(Integer)
    sent_at: Mapped[int] = mapped_column(BigInteger)
    day_start: Mapped[int] = mapped_column(BigInteger)
    sent_count: Mapped[int] = mapped_column(Integer)


class SealedKeyRow(Base):
    """A key of ours that outlives the master keys, encrypted with one of them. It belongs to the mesh as a whole."""

    __tablename__ = "notifier_sealed_keys"
    __table_args__ = {"info": {OF_THE_MESH: "the notifier's own keys, which are sealed, and whose names say nothing"}}  # noqa: RUF012

    name: Mapped[str] = mapped_column(String(40), primary_key=True)
    sealed: Mapped[bytes] = mapped_column(LargeBinary)


class RequestRow(Base):
    """The answer that a request_id got. It's encrypted, since it may hold a webhook's secret."""

    __tablename__ = "notifier_requests"
    __table_args__ = (Index("ix_requests_created", "created_at"),)

    tenant_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    method: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    sealed: Mapped[bytes] = mapped_column(BLOB)
    created_at: Mapped[int] = mapped_column(BigInteger)


# For what is done with many rows at once, where an object for each would cost more than the database.
channels = cast("Table", ChannelRow.__table__)
deliveries = cast("Table", DeliveryRow.__table__)
attempts = cast("Table", AttemptRow.__table__)
repeats = cast("Table", RepeatRow.__table__)
groups = cast("Table", GroupRow.__table__)
storms = cast("Table", StormRow.__table__)
breakers = cast("Table", BreakerRow.__table__)
escalations = cast("Table", EscalationRow.__table__)
escalation_policies = cast("Table", EscalationPolicyRow.__table__)
silences = cast("Table", SilenceRow.__table__)
mute_timings = cast("Table", MuteTimingRow.__table__)
routes = cast("Table", RouteRow.__table__)
inhibitions = cast("Table", InhibitionRow.__table__)
inhibiting = cast("Table", InhibitingRow.__table__)
inhibited = cast("Table", InhibitedRow.__table__)
policy_versions = cast("Table", PolicyVersionRow.__table__)
STANDING: tuple[Column[Any], ...] = (
    deliveries.c.tenant_id, deliveries.c.id, deliveries.c.alert_id, deliveries.c.kind, deliveries.c.stream_key,
    deliveries.c.state, deliveries.c.attempt_count, deliveries.c.last_outcome,
    deliveries.c.next_at, deliveries.c.lease_token, deliveries.c.leased_at, deliveries.c.version,
)  # fmt: skip
"""Of a delivery, how it stands: what it takes to go on with it, but not what is sent."""
