"""Add which arrivals were drawn when a room opened."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "room_draw",
        sa.Column("room_id", sa.String(64), nullable=False),
        sa.Column("room_created_at_ms", sa.BigInteger, nullable=False),
        sa.Column("drawn_at_ms", sa.BigInteger, nullable=False),
        sa.Column("lanes", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("room_id", "room_created_at_ms", name="pk_room_draw"),
    )
