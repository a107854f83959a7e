"""Add what the main logs of mail hosts say, and what people note about messages."""

import sqlalchemy as sa
from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def ordered(length: int) -> sa.String:
    return sa.String(length).with_variant(sa.String(length, collation="C"), "postgresql")


def big_id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    add_logs()
    add_notes()
    op.create_table(
        "mail_retry",
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("failed_at_ms", sa.BigInteger, nullable=False),
        sa.Column("tried_at_ms", sa.BigInteger, nullable=False),
        sa.Column("next_at_ms", sa.BigInteger, nullable=False),
        sa.Column("is_expired", sa.Boolean, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("host", "key", name="pk_mail_retry"),
    )


def add_logs() -> None:
    op.create_table(
        "mail_log",
        sa.Column("id", big_id(), sa.Identity(), nullable=False),
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("message_id", ordered(23), nullable=False),
        sa.Column("event", sa.String(16), nullable=False),
        sa.Column("sender", sa.String(320), nullable=False),
        sa.Column("sender_domain", sa.String(255), nullable=False),
        sa.Column("recipient", sa.String(320), nullable=False),
        sa.Column("recipient_domain", sa.String(255), nullable=False),
        sa.Column("recipients", sa.Text, nullable=False),
        sa.Column("remote", sa.String(255), nullable=False),
        sa.Column("address", sa.String(45), nullable=False),
        sa.Column("size_bytes", sa.BigInteger),
        sa.Column("code", sa.String(3), nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
        sa.Column("line_folded", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mail_log"),
    )
    for columns in (("at_ms", "id"), ("message_id", "at_ms"), ("event", "at_ms")):
        op.create_index("_".join(("ix_mail_log", *columns)), "mail_log", list(columns))
    op.create_table(
        "mail_log_place",
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("file", sa.String(32)),
        sa.Column("offset", sa.BigInteger, nullable=False),
        sa.Column("path", sa.Text, nullable=False),
        sa.Column("trouble", sa.Text, nullable=False),
        sa.Column("lines", sa.BigInteger, nullable=False),
        sa.Column("seen_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("host", name="pk_mail_log_place"),
    )


def add_notes() -> None:
    op.create_table(
        "mail_note",
        sa.Column("id", big_id(), sa.Identity(), nullable=False),
        sa.Column("message_id", ordered(23), nullable=False),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("is_public", sa.Boolean, nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mail_note"),
    )
    op.create_index("ix_mail_note_message_id", "mail_note", ["message_id"])
    op.create_table(
        "mail_tag",
        sa.Column("id", big_id(), sa.Identity(), nullable=False),
        sa.Column("message_id", ordered(23), nullable=False),
        sa.Column("tag", sa.String(64), nullable=False),
        sa.Column("color", sa.String(7)),
        sa.Column("user_id", sa.String(64), nullable=False),
        sa.Column("user", sa.String(255), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mail_tag"),
        sa.UniqueConstraint("message_id", "tag", name="uq_mail_tag_message_id_tag"),
    )
    op.create_index("ix_mail_tag_tag", "mail_tag", ["tag"])
