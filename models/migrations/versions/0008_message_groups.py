"""Add groups of messages that go one after the other, and messages that are put aside."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_STATES = ("ready", "delayed", "leased", "dead", "done")


def upgrade() -> None:
    for state in _STATES:
        op.add_column(f"message_{state}", sa.Column("group_key", sa.String(255)))
    op.create_table(
        "message_aside",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("type", sa.String(255)),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("lease_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("group_key", sa.String(255)),
        sa.Column("waits_for", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message_aside"),
    )
    op.create_index(
        "ix_message_aside_waits_for_queue_group_key_id",
        "message_aside",
        ["waits_for", "queue", "group_key", "id"],
    )
    op.create_table(
        "message_group",
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("group_key", sa.String(255), nullable=False),
        sa.Column("holder_id", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("queue", "group_key", name="pk_message_group"),
    )
