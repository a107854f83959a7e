"""Add the outbox: work that must happen, one row each."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "outbox",
        sa.Column(
            "id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), sa.Identity(), nullable=False
        ),
        sa.Column("task", sa.Text, nullable=False),
        sa.Column("args", sa.Text, nullable=False),
        sa.Column("task_queue", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("claim_ms", sa.BigInteger, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("claim_id", sa.Text),
        sa.Column("claimed_at_ms", sa.BigInteger),
        sa.Column("finished_at_ms", sa.BigInteger),
        sa.Column("failed_at_ms", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_outbox"),
        # Hints outlive their rows: an id must never be given twice.
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_due_at_ms",
        "outbox",
        ["due_at_ms"],
        postgresql_where=sa.text("due_at_ms IS NOT NULL"),
        sqlite_where=sa.text("due_at_ms IS NOT NULL"),
    )
    op.create_index(
        "ix_outbox_finished_at_ms",
        "outbox",
        ["finished_at_ms"],
        postgresql_where=sa.text("finished_at_ms IS NOT NULL"),
        sqlite_where=sa.text("finished_at_ms IS NOT NULL"),
    )
