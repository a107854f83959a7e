"""The schema of what happened to messages, and of what is summed of it.

Written in the background from the stream of events; nothing that a request changes stands here. All
moments are Unix milliseconds.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, String, Table, Text

from models.database import metadata

_BigId: Final = BigInteger().with_variant(Integer(), "sqlite")

history: Final = Table(
    "message_history",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),  # in order of the stream
    Column("at_ms", BigInteger, nullable=False),
    Column("event", String(32), nullable=False),
    Column("message_id", BigInteger),
    Column("queue", String(128)),
    Column("type", String(255)),
    Column("attempt", Integer),
    Column("consumer_id", String(255)),
    Column("leased_at_ms", BigInteger),
    Column("held_ms", BigInteger),
    Column("detail", Text),
    Index(None, "at_ms", "id"),
    Index(None, "message_id", "id"),
)

# How far a stream was read; moves in the transaction that writes what was read.
reading: Final = Table(
    "message_reading",
    metadata,
    Column("name", String(32), primary_key=True),
    Column("position", String(64), nullable=False),
)

consumer_minute: Final = Table(
    "message_consumer_minute",
    metadata,
    Column("minute_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("consumer_id", String(255), primary_key=True),
    Column("queue", String(128), primary_key=True),
    Column("type", String(255), primary_key=True),
    Column("leased", BigInteger, nullable=False),
    Column("acknowledged", BigInteger, nullable=False),
    Column("given_back", BigInteger, nullable=False),
    Column("lapsed", BigInteger, nullable=False),
    Column("held_ms_sum", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    Column("spread", Text, nullable=False),  # JSON: counts by step, see spreads.py
)

# Messages that failed and were not dealt with since.
failing: Final = Table(
    "message_failing",
    metadata,
    Column("message_id", BigInteger, primary_key=True, autoincrement=False),
    Column("queue", String(128)),
    Column("type", String(255)),
    Column("failures", Integer, nullable=False, index=True),
    Column("first_at_ms", BigInteger, nullable=False),
    Column("last_at_ms", BigInteger, nullable=False),
    Column("consumer_id", String(255)),
)

queue_minute: Final = Table(
    "message_queue_minute",
    metadata,
    Column("minute_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("queue", String(128), primary_key=True),
    Column("queued", BigInteger, nullable=False),
    Column("dead", BigInteger, nullable=False),
)

# What was found wrong at the last look, and since when.
anomaly: Final = Table(
    "message_anomaly",
    metadata,
    Column("kind", String(32), primary_key=True),
    Column("subject", String(512), primary_key=True),
    Column("since_ms", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
)
