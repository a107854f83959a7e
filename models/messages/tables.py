"""The schema of messages: a table for each state, so that none carries the others' dead rows.

A message keeps its `id` for life; it is its place in line too. All moments are Unix milliseconds.
"""

from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    Column,
    Identity,
    Index,
    Integer,
    SmallInteger,
    String,
    Table,
    Text,
)

from models.database import metadata
from models.messages.rules import MessageState

# SQLite counts rows by INTEGER alone; there it is 64 bits wide too.
_BigId: Final = BigInteger().with_variant(Integer(), "sqlite")


def _message_columns() -> list[Column[Any]]:
    """Return what a message carries from state to state, in one order: see MESSAGE_COLUMNS."""
    return [
        Column("queue", String(128), nullable=False),
        Column("lane", SmallInteger, nullable=False),  # 9 - priority: lane 0 goes first
        Column("type", String(255)),
        Column("payload", Text, nullable=False),  # JSON as it was sent, to the letter
        Column("attempt_count", Integer, nullable=False),
        Column("max_attempts", Integer, nullable=False),
        Column("lease_ms", BigInteger, nullable=False),  # unless the consumer says otherwise
        Column("created_at_ms", BigInteger, nullable=False),
        Column("last_error", Text),
        Column("group_key", String(255)),  # messages of one group go one after the other
    ]


MESSAGE_COLUMNS: Final = ("id", *(column.name for column in _message_columns()))

ready: Final = Table(
    "message_ready",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),
    *_message_columns(),
    Index(None, "queue", "lane", "id"),
    Index(None, "queue", "type", "lane", "id"),
    sqlite_autoincrement=True,  # an id is never given twice, also when its message moved on
)

# Waits for its moment, then moves to `ready`: its id is its place in line there too.
delayed: Final = Table(
    "message_delayed",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=False),
    *_message_columns(),
    Column("due_at_ms", BigInteger, nullable=False, index=True),
)

leased: Final = Table(
    "message_leased",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=False),
    *_message_columns(),
    Column("lock_token", String(64), nullable=False),
    Column("consumer_id", String(255), nullable=False),
    Column("leased_at_ms", BigInteger, nullable=False),
    Column("lease_length_ms", BigInteger, nullable=False),
    # No index: a touch then changes no index, and whoever looks for lapsed leases looks rarely.
    Column("lease_until_ms", BigInteger, nullable=False),
)

dead: Final = Table(
    "message_dead",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=False),
    *_message_columns(),
    Column("reason", Text, nullable=False),
    Column("died_at_ms", BigInteger, nullable=False, index=True),
)

# Acknowledged messages; those up to the mark `archived_until_ms` are archived (ADR 0004).
# On PostgreSQL each day is a partition, and the key is (id, acknowledged_at_ms) (ADR 0008).
done: Final = Table(
    "message_done",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=False),
    *_message_columns(),
    Column("lock_token", String(64), nullable=False),  # so that a repeated ack is known again
    Column("consumer_id", String(255), nullable=False),
    Column("acknowledged_at_ms", BigInteger, nullable=False, index=True),
)

# Each writer adds to rows of its own shard, so that two commits never wait for each other's count.
counter: Final = Table(
    "message_counter",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("queue", String(128), primary_key=True),
    Column("type", String(255), primary_key=True),  # "" for no type
    Column("state", String(16), primary_key=True),
    Column("n", BigInteger, nullable=False),
)

# Queues that somebody made; "default" is always there and has a row once its settings change.
queue: Final = Table(
    "message_queue",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("settings", Text, nullable=False),  # JSON of policies.QueueSettings
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)

# Waits for something else than a consumer, and counts as queued: see WaitsFor.
aside: Final = Table(
    "message_aside",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=False),
    *_message_columns(),
    Column("waits_for", String(16), nullable=False),
    Index(None, "waits_for", "queue", "group_key", "id"),
)

# Of each group that has messages, the one at its head: the only one that can be delivered.
group: Final = Table(
    "message_group",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("group_key", String(255), primary_key=True),
    Column("holder_id", BigInteger, nullable=False),
)

# What was stored under a name, so that a repeat is known; see rules.Once. The scope is a queue's
# name for a message, and empty for a whole request.
once: Final = Table(
    "message_once",
    metadata,
    Column("scope", String(128), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("message_ids", Text, nullable=False),  # a JSON array
    Column("fingerprint", String(64), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False, index=True),
)

# How much of a rate is spent: by the queue, a type or a group.
rate: Final = Table(
    "message_rate",
    metadata,
    Column("queue", String(128), primary_key=True),
    Column("kind", String(8), primary_key=True),
    Column("name", String(255), primary_key=True),
    Column("spent_until_us", BigInteger, nullable=False, index=True),
)

# Messages that a rate made wait: their turn is at this moment, and is theirs already.
turn: Final = Table(
    "message_turn",
    metadata,
    Column("id", _BigId, primary_key=True, autoincrement=False),
    Column("turn_at_ms", BigInteger, nullable=False, index=True),
)

mark: Final = Table(
    "message_mark",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value_ms", BigInteger, nullable=False),
)

# Every table that holds messages, and what its messages are; those acknowledged may be archived.
STATES: Final[tuple[tuple[Table, MessageState], ...]] = (
    (aside, MessageState.QUEUED),
    (delayed, MessageState.DELAYED),
    (ready, MessageState.QUEUED),
    (leased, MessageState.PROCESSING),
    (dead, MessageState.DEAD),
    (done, MessageState.ACKNOWLEDGED),
)
