"""The schema of schedules. All moments are Unix milliseconds."""

from typing import Final

from sqlalchemy import BigInteger, Boolean, Column, Integer, String, Table, Text

from models.database import metadata

schedule: Final = Table(
    "schedule",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("cron", String(255)),
    Column("every_ms", BigInteger),  # one of the two is there
    Column("timezone", String(64), nullable=False),
    Column("starts_at_ms", BigInteger),
    Column("ends_at_ms", BigInteger),
    Column("catch_up", String(8), nullable=False),
    Column("paused", Boolean, nullable=False),
    Column("message", Text, nullable=False),  # JSON of messages.rules.NewMessage
    Column("anchor_ms", BigInteger, nullable=False),
    # Moves in the transaction that stores the message, so a moment runs once. Null: none comes.
    Column("next_run_ms", BigInteger, index=True),
    Column("last_run_ms", BigInteger),
    Column("runs", BigInteger, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("last_error", Text),
    Column("last_error_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("updated_at_ms", BigInteger, nullable=False),
)
