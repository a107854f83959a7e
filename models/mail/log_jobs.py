"""What workers do for the logs: keep what the hosts tell, and forget what is old."""

from typing import Final

from models.database import Database
from models.mail.log_batches import LogBatch, LogHeld
from models.mail.statements import logs, retries

_AT_ONCE: Final = 5_000
_ROUNDS_MAX: Final = 40


def apply_log(database: Database, batch: LogBatch, *, now_ms: int) -> LogHeld:
    """Keep a batch of a host's log if it follows what is kept; say up to where that is now.

    A repeat, and one that is late, change nothing.
    """
    with database.begin() as connection:
        held = logs.lock_place(connection, batch.host, now_ms=now_ms)
        lines = 0
        if batch.place is not None and batch.after == held:
            logs.add(connection, batch.host, batch.lines)
            held, lines = batch.place, len(batch.lines)
        if batch.hints is not None:
            retries.replace(connection, batch.host, batch.hints)
        logs.note_place(connection, batch, held, lines=lines, now_ms=now_ms)
    return LogHeld(batch=(batch.began_at_ms, batch.number), place=held)


def forget(database: Database, *, keep_ms: int, lines_max: int, now_ms: int) -> int:
    """Delete lines that are older than `keep_ms`, and the oldest beyond `lines_max`.

    Each commit is small; what is left over goes the next time. Returns how many went.
    """
    gone = 0
    for _ in range(_ROUNDS_MAX):
        with database.begin() as connection:
            count = logs.forget(connection, before_ms=now_ms - keep_ms, count=_AT_ONCE)
        gone += count
        if count < _AT_ONCE:
            break
    with database.begin() as connection:
        surplus = logs.kept(connection).lines - lines_max
    while surplus > 0 and gone < _AT_ONCE * _ROUNDS_MAX:
        with database.begin() as connection:
            count = logs.forget_first(connection, count=min(surplus, _AT_ONCE))
        gone += count
        surplus -= max(count, 1)
    return gone
