"""The schema of mail. All moments are Unix milliseconds; what is folded is for comparing only."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from models.database import metadata

# What a list is ordered by is that much of an address: what is longer would fit no index.
KEY_CHARACTERS_MAX: Final = 100
_BIG_ID: Final = BigInteger().with_variant(Integer, "sqlite")


def _ordered(length: int) -> String:
    """Return a type of text that both databases put into the same order, by its bytes."""
    return String(length).with_variant(String(length, collation="C"), "postgresql")


host: Final = Table(
    "mail_host",
    metadata,
    Column("name", String(64), primary_key=True),
    # Which watcher tells of it: when that began, and the number of the last batch that counts.
    Column("generation", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("is_whole", Boolean, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("first_seen_at_ms", BigInteger, nullable=False),
)

# How many messages each host has, kept by every change, since a count reads all of them.
count: Final = Table(
    "mail_count",
    metadata,
    Column("host", String(64), primary_key=True),
    Column("status", String(16), primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
)

message: Final = Table(
    "mail_message",
    metadata,
    Column("host", String(64), primary_key=True),
    Column("message_id", _ordered(23), primary_key=True),
    Column("generation", BigInteger, nullable=False),
    Column("queue", String(255), nullable=False),
    Column("received_at_ms", BigInteger, nullable=False),
    Column("sender", Text, nullable=False),
    Column("sender_folded", Text, nullable=False),
    Column("sender_key", _ordered(KEY_CHARACTERS_MAX), nullable=False),
    Column("recipients", Text, nullable=False),  # JSON
    Column("recipients_folded", Text, nullable=False),  # one on each line
    Column("recipient_key", _ordered(KEY_CHARACTERS_MAX), nullable=False),
    Column("delivered", Text, nullable=False),  # JSON
    Column("size_bytes", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),
    Column("frozen_at_ms", BigInteger),
    Column("is_delivering", Boolean, nullable=False),
    Column("subject", Text, nullable=False),
    Column("subject_folded", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("source_folded", Text, nullable=False),
    Column("user", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_attempt_at_ms", BigInteger),
    Column("last_error", Text, nullable=False),
    Column("last_error_folded", Text, nullable=False),
    # One for each order of a list; the key makes each of them an order of all.
    Index(None, "received_at_ms", "message_id", "host"),
    Index(None, "message_id", "host"),
    Index(None, "sender_key", "message_id", "host"),
    Index(None, "recipient_key", "message_id", "host"),
    Index(None, "size_bytes", "message_id", "host"),
    Index(None, "status", "received_at_ms", "message_id", "host"),
    # What parts of texts are looked for in: read instead of the table, whose rows are far longer.
    # PostgreSQL takes no text that long into an index.
    *(
        Index(None, column, "host", "message_id", info={"dialect": "sqlite"})
        for column in (
            *("sender_folded", "recipients_folded", "subject_folded"),
            *("last_error_folded", "source_folded"),
        )
    ),
)

# What somebody should look at, until it is over and that was told.
alarm: Final = Table(
    "mail_alarm",
    metadata,
    Column("host", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("since_ms", BigInteger, primary_key=True),
    Column("value", BigInteger, nullable=False),  # when it began; once it is over, then
    Column("threshold", BigInteger, nullable=False),
    Column("over_at_ms", BigInteger),
    Column("is_told", Boolean, nullable=False),
)

# What each host had, by the minute.
sample: Final = Table(
    "mail_sample",
    metadata,
    Column("at_ms", BigInteger, primary_key=True),
    Column("host", String(64), primary_key=True),
    Column("messages", Integer, nullable=False),
    Column("deferred", Integer, nullable=False),
    Column("frozen", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("oldest_at_ms", BigInteger),
)

operation: Final = Table(
    "mail_operation",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("action", String(16), nullable=False),
    Column("addresses", Text, nullable=False, server_default="[]"),  # JSON
    Column("actor", String(255), nullable=False),
    Column("messages", Integer, nullable=False),
    Column("settled", Integer, nullable=False),
    Column("succeeded", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    # What was not begun by then is not done.
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("finished_at_ms", BigInteger),
    Column("cancelled_at_ms", BigInteger),
    Index(None, "created_at_ms"),
    Index(None, "finished_at_ms", "expires_at_ms"),
)

# What goes to a host in one task.
chunk: Final = Table(
    "mail_chunk",
    metadata,
    Column("operation_id", String(32), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("host", String(64), nullable=False),
    Column("queue", String(255), nullable=False),
    Column("message_ids", Text, nullable=False),  # JSON
    Column("sends", Integer, nullable=False),
    Column("due_at_ms", BigInteger),  # when it is sent again; NULL once it is settled
    Column("settled_at_ms", BigInteger),
    Index(None, "due_at_ms"),
)

outcome: Final = Table(
    "mail_outcome",
    metadata,
    Column("operation_id", String(32), primary_key=True),
    Column("host", String(64), primary_key=True),
    Column("message_id", _ordered(23), primary_key=True),
    Column("result", String(16), nullable=False),
    Column("said", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "message_id", "at_ms"),
)

# A line of a host's main log. Lines of attempts name one recipient; whose sender and size the log
# does not repeat have those of the message's arrival.
log: Final = Table(
    "mail_log",
    metadata,
    Column("id", _BIG_ID, Identity(), primary_key=True),
    Column("host", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("message_id", _ordered(23), nullable=False),
    Column("event", String(16), nullable=False),
    Column("sender", String(320), nullable=False),
    Column("sender_domain", String(255), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("recipient_domain", String(255), nullable=False),
    Column("recipients", Text, nullable=False),  # JSON
    Column("remote", String(255), nullable=False),
    Column("address", String(45), nullable=False),
    Column("size_bytes", BigInteger),
    Column("code", String(3), nullable=False),
    Column("error", Text, nullable=False),
    Column("line", Text, nullable=False),
    Column("line_folded", Text, nullable=False),
    Index(None, "at_ms", "id"),
    Index(None, "message_id", "at_ms"),
    Index(None, "event", "at_ms"),
)

# How far each host's log was read.
log_place: Final = Table(
    "mail_log_place",
    metadata,
    Column("host", String(64), primary_key=True),
    Column("file", String(32)),  # which file, by a digest of its first line
    Column("offset", BigInteger, nullable=False),
    Column("path", Text, nullable=False),
    Column("trouble", Text, nullable=False),
    Column("lines", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
)

note: Final = Table(
    "mail_note",
    metadata,
    Column("id", _BIG_ID, Identity(), primary_key=True),
    Column("message_id", _ordered(23), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("user", String(255), nullable=False),
    Column("note", Text, nullable=False),
    Column("is_public", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Index(None, "message_id"),
)

tag: Final = Table(
    "mail_tag",
    metadata,
    Column("id", _BIG_ID, Identity(), primary_key=True),
    Column("message_id", _ordered(23), nullable=False),
    Column("tag", String(64), nullable=False),
    Column("color", String(7)),
    Column("user_id", String(64), nullable=False),
    Column("user", String(255), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    UniqueConstraint("message_id", "tag"),
    Index(None, "tag"),
)

# What Exim's hints say of when an address, a domain or a host is tried again.
retry: Final = Table(
    "mail_retry",
    metadata,
    Column("host", String(64), primary_key=True),
    Column("key", String(400), primary_key=True),
    Column("address", String(45), nullable=False),  # of a host
    Column("failed_at_ms", BigInteger, nullable=False),
    Column("tried_at_ms", BigInteger, nullable=False),
    Column("next_at_ms", BigInteger, nullable=False),
    Column("is_expired", Boolean, nullable=False),
    Column("reason", Text, nullable=False),
)
