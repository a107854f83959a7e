"""Add the history of messages, what is summed of it, and what was found wrong."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _number(name: str) -> "sa.Column[object]":
    return sa.Column(name, sa.BigInteger, nullable=False)


def upgrade() -> None:
    op.create_table(
        "message_history",
        sa.Column("id", _id(), sa.Identity(), nullable=False),
        _number("at_ms"),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("message_id", sa.BigInteger),
        sa.Column("queue", sa.String(128)),
        sa.Column("type", sa.String(255)),
        sa.Column("attempt", sa.Integer),
        sa.Column("consumer_id", sa.String(255)),
        sa.Column("leased_at_ms", sa.BigInteger),
        sa.Column("held_ms", sa.BigInteger),
        sa.Column("detail", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_message_history"),
    )
    op.create_index("ix_message_history_at_ms_id", "message_history", ["at_ms", "id"])
    op.create_index("ix_message_history_message_id_id", "message_history", ["message_id", "id"])
    op.create_table(
        "message_reading",
        sa.Column("name", sa.String(32), nullable=False),
        sa.Column("position", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_message_reading"),
    )
    op.create_table(
        "message_consumer_minute",
        _number("minute_ms"),
        sa.Column("consumer_id", sa.String(255), nullable=False),
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("type", sa.String(255), nullable=False),
        *map(_number, ("leased", "acknowledged", "given_back", "lapsed")),
        *map(_number, ("held_ms_sum", "last_at_ms")),
        sa.Column("spread", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint(
            *("minute_ms", "consumer_id", "queue", "type"), name="pk_message_consumer_minute"
        ),
    )
    op.create_table(
        "message_failing",
        _number("message_id"),
        sa.Column("queue", sa.String(128)),
        sa.Column("type", sa.String(255)),
        sa.Column("failures", sa.Integer, nullable=False),
        _number("first_at_ms"),
        _number("last_at_ms"),
        sa.Column("consumer_id", sa.String(255)),
        sa.PrimaryKeyConstraint("message_id", name="pk_message_failing"),
    )
    op.create_index("ix_message_failing_failures", "message_failing", ["failures"])
    op.create_table(
        "message_queue_minute",
        _number("minute_ms"),
        sa.Column("queue", sa.String(128), nullable=False),
        _number("queued"),
        _number("dead"),
        sa.PrimaryKeyConstraint("minute_ms", "queue", name="pk_message_queue_minute"),
    )
    op.create_table(
        "message_anomaly",
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("subject", sa.String(512), nullable=False),
        _number("since_ms"),
        _number("seen_at_ms"),
        sa.PrimaryKeyConstraint("kind", "subject", name="pk_message_anomaly"),
    )
