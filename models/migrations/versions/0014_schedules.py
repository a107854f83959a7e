"""Add schedules, which put messages in."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "schedule",
        sa.Column("name", sa.String(128), nullable=False),
        sa.Column("cron", sa.String(255)),
        sa.Column("every_ms", sa.BigInteger),
        sa.Column("timezone", sa.String(64), nullable=False),
        sa.Column("starts_at_ms", sa.BigInteger),
        sa.Column("ends_at_ms", sa.BigInteger),
        sa.Column("catch_up", sa.String(8), nullable=False),
        sa.Column("paused", sa.Boolean, nullable=False),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("anchor_ms", sa.BigInteger, nullable=False),
        sa.Column("next_run_ms", sa.BigInteger),
        sa.Column("last_run_ms", sa.BigInteger),
        sa.Column("runs", sa.BigInteger, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("last_error_at_ms", sa.BigInteger),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_schedule"),
    )
    op.create_index("ix_schedule_next_run_ms", "schedule", ["next_run_ms"])
