"""Who is told next of alerts that nobody acknowledges, and how far that has come."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Makes the tables."""
    op.create_table(
        "notifier_escalation_policies",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("matchers", sa.Text(), nullable=False),
        sa.Column("steps", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name=op.f("pk_notifier_escalation_policies")),
        sa.UniqueConstraint("tenant_id", "name", name="uq_escalation_policies_name"),
    )
    op.create_table(
        "notifier_escalations",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("alert_id", sa.String(length=64), nullable=False),
        sa.Column("policy_id", sa.String(length=32), nullable=False),
        sa.Column("severity", sa.SmallInteger(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("done_count", sa.SmallInteger(), nullable=False),
        sa.Column("made_count", sa.Integer(), nullable=False),
        sa.Column("quiet_until", sa.BigInteger(), nullable=False),
        sa.Column("muted_until", sa.BigInteger(), nullable=False),
        sa.Column("is_acknowledged", sa.Boolean(), nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "alert_id", name=op.f("pk_notifier_escalations")),
    )
    op.create_index("ix_escalations_due", "notifier_escalations", ["due_at"])
    op.create_index("ix_escalations_policy", "notifier_escalations", ["tenant_id", "policy_id"])


def downgrade() -> None:
    """Removes the tables."""
    op.drop_table("notifier_escalations")
    op.drop_table("notifier_escalation_policies")
