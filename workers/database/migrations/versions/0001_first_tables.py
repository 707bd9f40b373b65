"""The first tables: users with their metrics, e-mail deliveries, receipts.

Revision: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "users",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("email", sa.String(320), nullable=False),
        sa.Column("email_key", sa.String(640), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("preferences", sa.JSON, nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_users"),
        sa.UniqueConstraint("email_key", name="uq_users_email_key"),
    )
    op.create_table(
        "user_metrics",
        sa.Column("user_id", sa.String(36), nullable=False),
        sa.Column("profile_changes", sa.Integer, nullable=False),
        sa.Column("last_active_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_user_metrics"),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name="fk_user_metrics_user_id", ondelete="CASCADE"),
    )
    op.create_table(
        "email_deliveries",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("event_id", sa.String(200), nullable=False),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column("template", sa.String(64), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("message_id", sa.String(255), nullable=False),
        sa.Column("last_error", sa.String(500), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("updated_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_email_deliveries"),
    )
    op.create_index("ix_email_deliveries_event_id", "email_deliveries", ["event_id"])
    op.create_table(
        "receipts",
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(64), nullable=False),
        sa.Column("follow_ups", sa.JSON, nullable=False),
        sa.Column("done_at", moment, nullable=False),
        sa.PrimaryKeyConstraint("event", "actor", name="pk_receipts"),
    )
    op.create_index("ix_receipts_done_at", "receipts", ["done_at"])


def downgrade() -> None:
    for table in ("receipts", "email_deliveries", "user_metrics", "users"):
        op.drop_table(table)
