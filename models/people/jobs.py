"""What is done about people in the background; every job is harmless to repeat."""

from typing import Final

from models import audit
from models.database import Database
from models.people.statements import failures, sessions
from models.tokens import rotation

# Small enough that a sweep of SQLite's only writer holds nobody up.
_ROWS_AT_ONCE: Final = 500


def rotate(
    database: Database, *, rotate_after_ms: int, token_ms: int, now_ms: int
) -> tuple[int, int]:
    """Rotate the keys that sign tokens, which live for `token_ms`; returns (made, deleted)."""
    with database.begin() as connection:
        return rotation.rotate(
            connection, rotate_after_ms=rotate_after_ms, life_ms_max=token_ms, now_ms=now_ms
        )


def forget(database: Database, *, audit_kept_ms: int, now_ms: int) -> tuple[int, int]:
    """Delete sessions that are over, old failures, and entries of the audit log past their time.

    Returns how many sessions and how many entries.
    """
    with database.begin() as connection:
        failures.delete_old(connection, now_ms=now_ms)
    gone_sessions = gone_entries = 0
    while True:
        with database.begin() as connection:
            ended = sessions.delete_expired(connection, count=_ROWS_AT_ONCE, now_ms=now_ms)
            old = audit.delete_old(
                connection, before_ms=now_ms - audit_kept_ms, count=_ROWS_AT_ONCE
            )
        gone_sessions += ended
        gone_entries += old
        if max(ended, old) < _ROWS_AT_ONCE:
            return gone_sessions, gone_entries
