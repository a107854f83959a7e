"""Add the addresses of an edit to mail's operations."""

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
