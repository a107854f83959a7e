"""Failed log-ins in SQL, counted by user and by address."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, delete, func, select, text, update

from models.people.tables import failure

# After a quiet hour it starts from nothing again.
FORGOTTEN_AFTER_MS: Final = 3_600_000

_LOCKED_UNTIL: Final = select(func.max(failure.c.locked_until_ms)).where(
    failure.c.subject.in_(bindparam("subjects", expanding=True))
)
# One step, so that two processes that fail a log-in at once count both.
_COUNT: Final = text(
    """
    INSERT INTO people_failure (subject, failures, last_at_ms, locked_until_ms)
    VALUES (:subject, 1, :now_ms, 0)
    ON CONFLICT (subject) DO UPDATE SET
        failures = CASE WHEN people_failure.last_at_ms < :forgotten_ms THEN 1
                        ELSE people_failure.failures + 1 END,
        last_at_ms = :now_ms
    RETURNING failures
    """
)
_LOCK: Final = (
    update(failure)
    .where(failure.c.subject == bindparam("of_subject"))
    .values(locked_until_ms=bindparam("new_locked_until_ms", type_=BigInteger))
)
_CLEAR: Final = delete(failure).where(failure.c.subject == bindparam("of_subject"))
_DELETE_OLD: Final = delete(failure).where(
    failure.c.last_at_ms < bindparam("before_ms", type_=BigInteger)
)


def locked_until_ms(connection: Connection, subjects: Sequence[str]) -> int:
    """Return when the last lock on one of the subjects ends; 0 if none was ever locked."""
    return connection.execute(_LOCKED_UNTIL, {"subjects": list(subjects)}).scalar_one() or 0


def count(connection: Connection, subject: str, *, now_ms: int) -> int:
    """Count one failure and return how many there are by now."""
    row = {"subject": subject, "now_ms": now_ms, "forgotten_ms": now_ms - FORGOTTEN_AFTER_MS}
    return int(connection.execute(_COUNT, row).scalar_one())


def lock(connection: Connection, subject: str, *, until_ms: int) -> None:
    """Lock a subject until a moment."""
    connection.execute(_LOCK, {"of_subject": subject, "new_locked_until_ms": until_ms})


def clear(connection: Connection, subject: str) -> None:
    """Forget the failures of a subject, and its lock."""
    connection.execute(_CLEAR, {"of_subject": subject})


def delete_old(connection: Connection, *, now_ms: int) -> int:
    """Delete what counts no more; no lock lasts that long."""
    bounds = {"before_ms": now_ms - FORGOTTEN_AFTER_MS}
    return connection.execute(_DELETE_OLD, bounds).rowcount
