"""The schema of the outbox: one table, a row for each piece of work that must happen."""

from typing import Final

from sqlalchemy import BigInteger, Column, Identity, Index, Integer, Table, Text

from models.database import metadata

outbox: Final = Table(
    "outbox",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), Identity(), primary_key=True),
    Column("task", Text, nullable=False),
    Column("args", Text, nullable=False),  # a JSON array
    Column("task_queue", Text, nullable=False),
    Column("request_id", Text),  # who asked, for the log
    Column("created_at_ms", BigInteger, nullable=False),
    Column("claim_ms", BigInteger, nullable=False),  # how long a claim holds
    Column("due_at_ms", BigInteger),  # when it is sent again or its claim ends; null: never
    Column("attempts", Integer, nullable=False),  # how often it was sent again
    Column("claim_id", Text),  # null: nobody works on it
    Column("claimed_at_ms", BigInteger),
    Column("finished_at_ms", BigInteger),
    Column("failed_at_ms", BigInteger),  # when it was given up
    Column("last_error", Text),
    sqlite_autoincrement=True,
)
live: Final = outbox.c.due_at_ms.is_not(None)
finished: Final = outbox.c.finished_at_ms.is_not(None)
Index(None, outbox.c.due_at_ms, postgresql_where=live, sqlite_where=live)
Index(None, outbox.c.finished_at_ms, postgresql_where=finished, sqlite_where=finished)
