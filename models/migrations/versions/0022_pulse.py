"""Add the pulse of every queue, minute by minute."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "pulse_minute",
        sa.Column("minute_ms", sa.BigInteger, nullable=False, autoincrement=False),
        sa.Column("domain", sa.String(16), nullable=False),
        sa.Column("depth", sa.BigInteger),
        sa.Column("oldest_s", sa.BigInteger),
        sa.Column("arrived", sa.BigInteger, nullable=False),
        sa.Column("done", sa.BigInteger, nullable=False),
        sa.Column("failed", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("minute_ms", "domain", name="pk_pulse_minute"),
    )
