"""The schema of tickets: halls and what is in them, tickets, and news on its way to displays.

All moments are Unix milliseconds.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from models.database import metadata

_BigId: Final = BigInteger().with_variant(Integer(), "sqlite")

branch: Final = Table(
    "ticket_branch",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("timezone", String(64), nullable=False),
    Column("reset_minute", Integer, nullable=False),
    Column("numbering", String(16), nullable=False),
    Column("number_first", Integer, nullable=False),
    Column("opening", Text),  # JSON; null: always open
    # Grows with each change in the branch; whoever changes something holds this row.
    Column("version", BigInteger, nullable=False),
    Column("changed_at_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

counter: Final = Table(
    "ticket_counter",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),
    Column("branch_id", BigInteger, ForeignKey("ticket_branch.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("status", String(16), nullable=False),
    Column("pause_reason", Text),
    Column("paused_until_ms", BigInteger),
    Column("policy", String(16), nullable=False),
    Column("turn", String(16)),  # whose turn it is under interleave
    Column("number_first", Integer, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    UniqueConstraint("branch_id", "name"),
    sqlite_autoincrement=True,
)

procedure: Final = Table(
    "ticket_procedure",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("folded", Text, nullable=False),  # the name as a search sees it
    Column("service_min", Integer, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

procedure_counter: Final = Table(
    "ticket_procedure_counter",
    metadata,
    Column("procedure_id", BigInteger, ForeignKey("ticket_procedure.id"), primary_key=True),
    Column("counter_id", BigInteger, ForeignKey("ticket_counter.id"), primary_key=True, index=True),
)

sequence: Final = Table(
    "ticket_sequence",
    metadata,
    Column("scope", String(32), primary_key=True),  # `counter:1`, or `hall:1`
    Column("business_day", String(10), primary_key=True),
    Column("last_number", Integer, nullable=False),
)

ticket: Final = Table(
    "ticket",
    metadata,
    Column("id", _BigId, Identity(), primary_key=True),
    Column("public_id", String(32), nullable=False, unique=True),
    Column("branch_id", BigInteger, ForeignKey("ticket_branch.id"), nullable=False),
    Column("counter_id", BigInteger, ForeignKey("ticket_counter.id"), nullable=False),
    Column("procedure_id", BigInteger, ForeignKey("ticket_procedure.id")),
    Column("sequence", String(32), nullable=False),  # that the number is of
    Column("business_day", String(10), nullable=False),
    Column("number", Integer, nullable=False),
    Column("priority", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("is_parked", Boolean, nullable=False),
    Column("queued_at_ms", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
    Column("called_at_ms", BigInteger),
    Column("served_at_ms", BigInteger),
    Column("completed_at_ms", BigInteger),  # or cancelled; null: it is open
    Column("service_s", Integer),
    Column("call_count", Integer, nullable=False),
    Column("notes", Text),
    Column("completion_reason", String(32)),
    # Who moved it last, as known then: a user, or a program by its key, which has no id.
    Column("updated_by", BigInteger),
    Column("updated_by_username", String(64)),
    Column("updated_by_full_name", String(255)),
    Column("estimated_min", Integer, nullable=False),  # the wait that its paper says
    # The outcome of that estimate, and what it was made from; null in tickets of before.
    Column("first_called_at_ms", BigInteger),
    Column("ahead", Integer),  # how many were called before, when it was taken
    Column("drained_min", Float),  # before it was calibrated
    Column("estimated_low_min", Integer),
    Column("estimated_high_min", Integer),
    Column("print_state", String(16)),  # null: nobody said
    Column("rating", Integer),  # null: unrated
    Column("rating_comment", Text),
    Column("rated_at_ms", BigInteger),
    UniqueConstraint("sequence", "business_day", "number"),
    sqlite_autoincrement=True,
)
is_open: Final = ticket.c.completed_at_ms.is_(None)
Index("ix_ticket_open", ticket.c.counter_id, postgresql_where=is_open, sqlite_where=is_open)
Index(None, ticket.c.counter_id, ticket.c.business_day, ticket.c.status)
Index(None, ticket.c.created_at_ms)
Index(None, ticket.c.branch_id, ticket.c.business_day)
Index(None, ticket.c.completed_at_ms)

# How far estimates of a branch were off lately: quantiles of log((real + 1) / (drained + 1)).
calibration: Final = Table(
    "ticket_calibration",
    metadata,
    Column("branch_id", BigInteger, ForeignKey("ticket_branch.id"), primary_key=True),
    Column("ahead_min", Integer, primary_key=True, autoincrement=False),  # of the class
    Column("outcomes", Integer, nullable=False),
    Column("low", Float, nullable=False),
    Column("middle", Float, nullable=False),
    Column("high", Float, nullable=False),
    Column("version", BigInteger, nullable=False),  # of the branch, as of which it holds
)

# What the displays of a branch are told; kept until it is in their stream, and some time longer.
news: Final = Table(
    "ticket_news",
    metadata,
    Column("branch_id", BigInteger, ForeignKey("ticket_branch.id"), primary_key=True),
    Column("version", BigInteger, primary_key=True),
    Column("events", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False, index=True),
)

# Sounds of a hall's own: what is said of calls, word by word.
clip: Final = Table(
    "ticket_clip",
    metadata,
    Column("branch_id", BigInteger, ForeignKey("ticket_branch.id"), primary_key=True),
    Column("language", String(2), primary_key=True),
    Column("key", String(32), primary_key=True),
    # Of the counter that it names, when it was stored: it is not said of a counter renamed since.
    Column("counter_name", String(255)),
    Column("media_type", String(32), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("sound", LargeBinary, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
)
