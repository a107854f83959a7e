"""Acknowledged messages by day, on PostgreSQL: days to come are made ahead, old ones are dropped.

All days before the first are one partition, `message_done_before`; what is acknowledged on a day
without one goes to `message_done_default`. Both are emptied row by row. Source: ADR 0008.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from psycopg.errors import CheckViolation, LockNotAvailable
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError, OperationalError

from models.messages.rules import MessageState, Tally
from models.messages.statements.archive import archived_until_ms

DAY_MS: Final = 86_400_000
# The partitions that are not of one day.
BEFORE: Final = "message_done_before"
DEFAULT: Final = "message_done_default"
# Whoever acknowledges waits behind who waits to change the table, so nobody waits for long.
_LOCK_TIMEOUT_MS: Final = 100
# To count the messages of a day takes a second for some millions.
_COUNT_TIMEOUT_MS: Final = 600_000


class BusyError(Exception):
    """Somebody else uses the table, a dump for one: try again later."""


_UPPER_BOUNDS: Final = text(
    r"""
    SELECT child.relname AS name,
           CAST(substring(pg_get_expr(child.relpartbound, child.oid)
                          FROM 'TO \(''(-?\d+)''\)') AS bigint) AS until_ms
    FROM pg_inherits JOIN pg_class AS child ON child.oid = inhrelid
    WHERE inhparent = 'message_done'::regclass
      AND pg_get_expr(child.relpartbound, child.oid) <> 'DEFAULT'
    ORDER BY until_ms
    """
)


def days(connection: Connection) -> dict[str, int]:
    """Return the partitions by name and the moment at which each ends, oldest first."""
    return {row.name: row.until_ms for row in connection.execute(_UPPER_BOUNDS)}


def missing_days(connection: Connection, *, now_ms: int, ahead: int) -> list[int]:
    """Return the beginnings of the days from today to `ahead` days later without a partition.

    Days are UTC. Those before the last partition are left as they are.
    """
    today_ms = now_ms - now_ms % DAY_MS
    first_ms = max(today_ms, *days(connection).values())
    return list(range(first_ms, today_ms + (ahead + 1) * DAY_MS, DAY_MS))


def make_day(connection: Connection, start_ms: int) -> bool:
    """Make the partition of a day; False when messages of that day are in the default already.

    Raises BusyError. A repeat changes nothing.
    """
    name = f"message_done_{datetime.fromtimestamp(start_ms / 1000, UTC):%Y%m%d}"
    with _impatient(connection):
        # Who makes partitions at the same time waits here, and then finds this one.
        connection.execute(text("LOCK TABLE message_done IN SHARE UPDATE EXCLUSIVE MODE"))
        if name in days(connection):
            return True
        try:
            with connection.begin_nested():
                # Attached, not made as a part: acknowledging goes on meanwhile.
                connection.execute(
                    text(f"CREATE TABLE {name} (LIKE message_done INCLUDING DEFAULTS)")
                )
                connection.execute(
                    text(
                        f"ALTER TABLE message_done ATTACH PARTITION {name}"
                        f" FOR VALUES FROM ({start_ms}) TO ({start_ms + DAY_MS})"
                    )
                )
        except IntegrityError as error:
            if isinstance(error.orig, CheckViolation):
                return False
            raise
    return True


def droppable_days(connection: Connection, until_ms: int) -> list[str]:
    """Return the partitions of one day whose messages were all archived, and by `until_ms`."""
    until_ms = min(until_ms, archived_until_ms(connection))
    return [
        name
        for name, end_ms in days(connection).items()
        if end_ms <= until_ms + 1 and name != BEFORE
    ]


def check_idle(connection: Connection) -> None:
    """Raise BusyError if a partition could not be dropped right now; it costs no counting."""
    with _impatient(connection):
        connection.execute(text("LOCK TABLE message_done IN ACCESS EXCLUSIVE MODE"))


def drop_day(connection: Connection, name: str, *, tally: Tally) -> int:
    """Drop a partition of archived messages; return how many there were, 0 if it is gone.

    Raises BusyError.
    """
    with _impatient(connection):
        archived_until_ms(connection, lock=True)  # first, as whoever empties a queue
        if name not in days(connection):
            return 0
        connection.execute(text(f"SET LOCAL statement_timeout = {_COUNT_TIMEOUT_MS}"))
        connection.execute(text(f"LOCK TABLE {name} IN SHARE ROW EXCLUSIVE MODE"))
        rows = connection.execute(
            text(f"SELECT queue, type, count(*) AS n FROM {name} GROUP BY queue, type")  # noqa: S608
        ).all()
        connection.execute(text(f"DROP TABLE {name}"))
    for row in rows:
        tally.move(row.queue, row.type, source=MessageState.ARCHIVED, count=row.n)
    return sum(row.n for row in rows)


@contextmanager
def _impatient(connection: Connection) -> Iterator[None]:
    connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
    try:
        yield
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise BusyError from error
        raise
