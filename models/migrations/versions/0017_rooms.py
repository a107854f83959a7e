"""Add rooms, their samples, and what visitors said of themselves."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def _amounts(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.BigInteger, nullable=False) for name in names]


def upgrade() -> None:
    op.create_table(
        "room",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("target_url", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        *_amounts("capacity", "line_max"),
        sa.Column("rate_per_s", sa.Float, nullable=False),
        sa.Column("session_ms", sa.BigInteger, nullable=False),
        sa.Column("session_renewal", sa.Boolean, nullable=False),
        *_amounts("session_cap_ms", "heartbeat_interval_ms", "heartbeat_timeout_ms", "claim_ms"),
        sa.Column("public_priority_max", sa.Integer, nullable=False),
        sa.Column("invite_only", sa.Boolean, nullable=False),
        sa.Column("identify_by_ip", sa.Boolean, nullable=False),
        sa.Column("fail_mode", sa.String(8), nullable=False),
        sa.Column("fail_open_until_ms", sa.BigInteger),
        sa.Column("algorithm", sa.String(8), nullable=False),
        sa.Column("opens_at_ms", sa.BigInteger),
        sa.Column("draw", sa.Boolean, nullable=False),
        sa.Column("appearance", sa.Text, nullable=False),
        sa.Column("secret", sa.LargeBinary, nullable=False),
        *_amounts("created_at_ms", "updated_at_ms"),
        sa.Column("version", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_room"),
    )
    counters = ("joined", "admitted", "expired", "cancelled", "no_shows", "waits_ms")
    op.create_table(
        "room_count",
        sa.Column("room_id", sa.String(64), nullable=False),
        *_amounts("at_ms", *counters, "peak"),
        sa.Column("looks", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("room_id", name="pk_room_count"),
    )
    op.create_table(
        "room_sample",
        sa.Column("room_id", sa.String(64), nullable=False),
        *_amounts("at_ms", "waiting", "inside", "waiting_max", *counters),
        sa.PrimaryKeyConstraint("room_id", "at_ms", name="pk_room_sample"),
    )
    op.create_index("ix_room_sample_at_ms", "room_sample", ["at_ms"])
    op.create_table(
        "room_visitor",
        sa.Column("position_id", sa.String(36), nullable=False),
        sa.Column("room_id", sa.String(64), nullable=False),
        sa.Column("lane", sa.Integer, nullable=False),
        *_amounts("number", "joined_at_ms"),
        sa.Column("details", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("position_id", name="pk_room_visitor"),
    )
    op.create_index("ix_room_visitor_joined_at_ms", "room_visitor", ["joined_at_ms"])
