"""Add messages: a table for each state, counters, and the archive's mark."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _message_columns() -> list[sa.Column[object]]:
    return [
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("lane", sa.SmallInteger, nullable=False),
        sa.Column("type", sa.String(255)),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("attempt_count", sa.Integer, nullable=False),
        sa.Column("max_attempts", sa.Integer, nullable=False),
        sa.Column("lease_ms", sa.BigInteger, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("last_error", sa.Text),
    ]


def upgrade() -> None:
    op.create_table(
        "message_ready",
        sa.Column("id", _id(), sa.Identity(), nullable=False),
        *_message_columns(),
        sa.PrimaryKeyConstraint("id", name="pk_message_ready"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_message_ready_queue_lane_id", "message_ready", ["queue", "lane", "id"])
    op.create_index(
        "ix_message_ready_queue_type_lane_id", "message_ready", ["queue", "type", "lane", "id"]
    )
    op.create_table(
        "message_leased",
        sa.Column("id", _id(), autoincrement=False, nullable=False),
        *_message_columns(),
        sa.Column("lock_token", sa.String(64), nullable=False),
        sa.Column("consumer_id", sa.String(255), nullable=False),
        sa.Column("leased_at_ms", sa.BigInteger, nullable=False),
        sa.Column("lease_length_ms", sa.BigInteger, nullable=False),
        sa.Column("lease_until_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message_leased"),
    )
    op.create_table(
        "message_dead",
        sa.Column("id", _id(), autoincrement=False, nullable=False),
        *_message_columns(),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("died_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message_dead"),
    )
    op.create_table(
        "message_done",
        sa.Column("id", _id(), autoincrement=False, nullable=False),
        *_message_columns(),
        sa.Column("lock_token", sa.String(64), nullable=False),
        sa.Column("consumer_id", sa.String(255), nullable=False),
        sa.Column("acknowledged_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message_done"),
    )
    op.create_index("ix_message_done_acknowledged_at_ms", "message_done", ["acknowledged_at_ms"])
    op.create_table(
        "message_counter",
        sa.Column("shard", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("n", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("shard", "queue", "type", "state", name="pk_message_counter"),
    )
    op.create_table(
        "message_mark",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("value_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_message_mark"),
    )
