"""Add the clips of halls: sounds of their own, of which calls are made."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "ticket_clip",
        sa.Column("branch_id", sa.BigInteger, sa.ForeignKey("ticket_branch.id"), nullable=False),
        sa.Column("language", sa.String(2), nullable=False),
        sa.Column("key", sa.String(32), nullable=False),
        sa.Column("counter_name", sa.String(255)),
        sa.Column("media_type", sa.String(32), nullable=False),
        sa.Column("size_bytes", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("sound", sa.LargeBinary, nullable=False),
        sa.Column("stored_at_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("branch_id", "language", "key", name="pk_ticket_clip"),
    )
