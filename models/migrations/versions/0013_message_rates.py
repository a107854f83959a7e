"""Add how much of each rate is spent, and the turns of messages that wait for it."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "message_rate",
        sa.Column("queue", sa.String(128), nullable=False),
        sa.Column("kind", sa.String(8), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("spent_until_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("queue", "kind", "name", name="pk_message_rate"),
    )
    op.create_index("ix_message_rate_spent_until_us", "message_rate", ["spent_until_us"])
    op.create_table(
        "message_turn",
        sa.Column(
            "id",
            sa.BigInteger().with_variant(sa.Integer, "sqlite"),
            autoincrement=False,
            nullable=False,
        ),
        sa.Column("turn_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_message_turn"),
    )
    op.create_index("ix_message_turn_turn_at_ms", "message_turn", ["turn_at_ms"])
