"""Add the addresses of an edit to mail's operations, and alarms."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "mail_operation", sa.Column("addresses", sa.Text, nullable=False, server_default="[]")
    )
    op.create_table(
        "mail_alarm",
        sa.Column("host", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("since_ms", sa.BigInteger, nullable=False),
        sa.Column("value", sa.BigInteger, nullable=False),
        sa.Column("threshold", sa.BigInteger, nullable=False),
        sa.Column("over_at_ms", sa.BigInteger),
        sa.Column("is_told", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("host", "kind", "since_ms", name="pk_mail_alarm"),
    )
