"""Add the index of mail spools, and what is done to them."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def ordered(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def upgrade() -> None:
    add_index()
    add_operations()


def add_index() -> None:
    op.create_table(
        "mail_host",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.Column("is_whole", sa.Boolean, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.Column("first_seen_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_mail_host"),
    )
    op.create_table(
        "mail_count",
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("host", "status", name="pk_mail_count"),
    )
    op.create_table(
        "mail_message",
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("message_id", ordered(23), nullable=False),
        sa.Column("generation", sa.BigInteger, nullable=False),
        sa.Column("queue", sa.String(255), nullable=False),
        sa.Column("received_at_ms", sa.BigInteger, nullable=False),
        sa.Column("sender", sa.Text, nullable=False),
        sa.Column("sender_folded", sa.Text, nullable=False),
        sa.Column("sender_key", ordered(100), nullable=False),
        sa.Column("recipients", sa.Text, nullable=False),
        sa.Column("recipients_folded", sa.Text, nullable=False),
        sa.Column("recipient_key", ordered(100), nullable=False),
        sa.Column("delivered", sa.Text, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("frozen_at_ms", sa.BigInteger),
        sa.Column("is_delivering", sa.Boolean, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("subject_folded", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("source_folded", sa.Text, nullable=False),
        sa.Column("user", sa.Text, nullable=False),
        sa.Column("protocol", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_attempt_at_ms", sa.BigInteger),
        sa.Column("last_error", sa.Text, nullable=False),
        sa.Column("last_error_folded", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("host", "message_id", name="pk_mail_message"),
    )
    for columns in (
        ("received_at_ms", "message_id", "host"),
        ("message_id", "host"),
        ("sender_key", "message_id", "host"),
        ("recipient_key", "message_id", "host"),
        ("size_bytes", "message_id", "host"),
        ("status", "received_at_ms", "message_id", "host"),
    ):
        op.create_index("_".join(("ix_mail_message", *columns)), "mail_message", list(columns))
    op.create_table(
        "mail_sample",
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("deferred", sa.Integer, nullable=False),
        sa.Column("frozen", sa.Integer, nullable=False),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("oldest_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("at_ms", "host", name="pk_mail_sample"),
    )


def add_operations() -> None:
    op.create_table(
        "mail_operation",
        sa.Column("id", sa.String(32), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("actor", sa.String(255), nullable=False),
        sa.Column("messages", sa.Integer, nullable=False),
        sa.Column("settled", sa.Integer, nullable=False),
        sa.Column("succeeded", sa.Integer, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger, nullable=False),
        sa.Column("finished_at_ms", sa.BigInteger),
        sa.Column("cancelled_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="pk_mail_operation"),
    )
    op.create_index("ix_mail_operation_created_at_ms", "mail_operation", ["created_at_ms"])
    op.create_index(
        "ix_mail_operation_finished_at_ms_expires_at_ms",
        "mail_operation",
        ["finished_at_ms", "expires_at_ms"],
    )
    op.create_table(
        "mail_chunk",
        sa.Column("operation_id", sa.String(32), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("queue", sa.String(255), nullable=False),
        sa.Column("message_ids", sa.Text, nullable=False),
        sa.Column("sends", sa.Integer, nullable=False),
        sa.Column("due_at_ms", sa.BigInteger),
        sa.Column("settled_at_ms", sa.BigInteger),
        sa.PrimaryKeyConstraint("operation_id", "number", name="pk_mail_chunk"),
    )
    op.create_index("ix_mail_chunk_due_at_ms", "mail_chunk", ["due_at_ms"])
    op.create_table(
        "mail_outcome",
        sa.Column("operation_id", sa.String(32), nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("message_id", ordered(23), nullable=False),
        sa.Column("result", sa.String(16), nullable=False),
        sa.Column("said", sa.Text, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("operation_id", "host", "message_id", name="pk_mail_outcome"),
    )
    op.create_index("ix_mail_outcome_message_id_at_ms", "mail_outcome", ["message_id", "at_ms"])
