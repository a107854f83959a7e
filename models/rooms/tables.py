"""The schema of rooms. All moments are Unix milliseconds."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from models.database import metadata

room: Final = Table(
    "room",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(200), nullable=False),
    Column("target_url", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("capacity", BigInteger, nullable=False),
    Column("line_max", BigInteger, nullable=False),
    Column("rate_per_s", Float, nullable=False),
    Column("session_ms", BigInteger, nullable=False),
    Column("session_renewal", Boolean, nullable=False),
    Column("session_cap_ms", BigInteger, nullable=False),
    Column("heartbeat_interval_ms", BigInteger, nullable=False),
    Column("heartbeat_timeout_ms", BigInteger, nullable=False),
    Column("claim_ms", BigInteger, nullable=False),
    Column("public_priority_max", Integer, nullable=False),
    Column("invite_only", Boolean, nullable=False),
    Column("identify_by_ip", Boolean, nullable=False),
    Column("fail_mode", String(8), nullable=False),
    Column("fail_open_until_ms", BigInteger),
    Column("algorithm", String(8), nullable=False),
    Column("opens_at_ms", BigInteger),
    Column("draw", Boolean, nullable=False),
    Column("appearance", Text, nullable=False),  # JSON of room.Appearance
    Column("secret", LargeBinary, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("version", Integer, nullable=False),
)

# What the counters of a room stood at when they were last looked at: a sample is the difference.
count: Final = Table(
    "room_count",
    metadata,
    Column("room_id", String(64), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("joined", BigInteger, nullable=False),
    Column("admitted", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("no_shows", BigInteger, nullable=False),
    Column("waits_ms", BigInteger, nullable=False),
    Column("peak", BigInteger, nullable=False),  # most that ever waited together
    Column("looks", Text, nullable=False),  # JSON of statistics.Look: the last minute
)

# A minute of a room; one in which nobody was there has no row.
sample: Final = Table(
    "room_sample",
    metadata,
    Column("room_id", String(64), primary_key=True),
    Column("at_ms", BigInteger, primary_key=True),  # when the minute began
    Column("waiting", BigInteger, nullable=False),  # at its end
    Column("inside", BigInteger, nullable=False),
    Column("waiting_max", BigInteger, nullable=False),  # most that waited at any look
    Column("joined", BigInteger, nullable=False),
    Column("admitted", BigInteger, nullable=False),
    Column("expired", BigInteger, nullable=False),
    Column("cancelled", BigInteger, nullable=False),
    Column("no_shows", BigInteger, nullable=False),
    Column("waits_ms", BigInteger, nullable=False),  # how long the admitted had waited, together
    Index(None, "at_ms"),
)

# Which arrivals were drawn when a room opened: fixed once, so that a repeat draws the same order.
draw: Final = Table(
    "room_draw",
    metadata,
    Column("room_id", String(64), primary_key=True),
    Column("room_created_at_ms", BigInteger, primary_key=True),  # tells a room made anew apart
    Column("drawn_at_ms", BigInteger, nullable=False),
    Column("lanes", Text, nullable=False),  # JSON of draw.LaneDraw, by lane
)

# What visitors said of themselves when they joined.
visitor: Final = Table(
    "room_visitor",
    metadata,
    Column("position_id", String(36), primary_key=True),
    Column("room_id", String(64), nullable=False),
    Column("lane", Integer, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("joined_at_ms", BigInteger, nullable=False),
    Column("details", Text, nullable=False),  # a JSON object
    Index(None, "joined_at_ms"),
)
