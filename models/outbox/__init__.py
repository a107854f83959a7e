"""Work that must happen is a row first; a task-queue message is only a hint to look at it.

A caller adds the row in its own transaction and sends the hint after the commit. A worker claims
the row, works, and finishes it; a claim that runs out may be taken again, so work is harmless to
repeat. What nobody claimed or finished in time is sent again with growing pauses, in the end given
up. Every function takes the connection, so the caller's transaction decides what happens together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row

from models.outbox import statements

# The longest pause between two sends: what was down for a day is noticed within the hour.
RESEND_PAUSE_MS_MAX: Final = 3_600_000
# How long a worker may hold a row, unless the row says otherwise.
CLAIM_MS: Final = 60_000
_ERROR_CHARACTERS_MAX: Final = 500


class State(StrEnum):
    """How far a row is."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Hint:
    """What a message to a worker says: run this task for this row."""

    outbox_id: int
    task: str
    task_queue: str
    request_id: str | None


@dataclass(frozen=True, slots=True)
class Entry:
    """A row as a reader sees it."""

    hint: Hint
    args: list[Any]
    state: State
    attempts: int
    created_at_ms: int
    finished_at_ms: int | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class Due:
    """What a sweep found: rows to send again, and rows that it just gave up."""

    resend: list[Hint]
    gave_up: list[Hint]


def add(
    connection: Connection,
    *,
    task: str,
    args: Sequence[Any] = (),
    task_queue: str,
    now_ms: int,
    resend_after_ms: int,
    claim_ms: int = CLAIM_MS,
    request_id: str | None = None,
) -> Hint:
    """Note work that must happen once the caller's transaction commits; `args` must fit JSON.

    `claim_ms` is how long one run may take: a worker that needs longer may see the work begun
    again elsewhere. Send the hint after the commit; if that fails, the sweep sends it.
    """
    row = {
        "task": task,
        "args": msgspec.json.encode(list(args)).decode(),
        "task_queue": task_queue,
        "request_id": request_id,
        "created_at_ms": now_ms,
        "claim_ms": claim_ms,
        "due_at_ms": now_ms + resend_after_ms,
        "attempts": 0,
    }
    outbox_id = connection.execute(statements.ADD, row).scalar_one()
    return Hint(outbox_id, task, task_queue, request_id)


def claim(
    connection: Connection, *, outbox_id: int, task: str, claim_id: str, now_ms: int
) -> list[Any] | None:
    """Take a row to work on and return its arguments.

    None when there is nothing to do: it is finished, given up, deleted, another task's, or another
    holds a claim that has not run out.
    """
    row = connection.execute(
        statements.CLAIM,
        {"of_id": outbox_id, "of_task": task, "new_claim_id": claim_id, "now_ms": now_ms},
    ).first()
    return None if row is None else _decode_args(row.args)


def finish(connection: Connection, *, outbox_id: int, claim_id: str, now_ms: int) -> bool:
    """Note that the work is done; false when the claim ran out and another took it."""
    held = {"of_id": outbox_id, "held_claim_id": claim_id, "now_ms": now_ms}
    return connection.execute(statements.FINISH, held).first() is not None


def fail(
    connection: Connection,
    *,
    outbox_id: int,
    claim_id: str,
    reason: str,
    now_ms: int,
    resend_after_ms: int,
) -> bool:
    """Give a row back after an error, to be sent again after a pause; false as for `finish`."""
    held = {"of_id": outbox_id, "held_claim_id": claim_id}
    row = connection.execute(statements.HELD, held).first()
    if row is None:
        return False
    note = {
        "of_id": outbox_id,
        "new_due_at_ms": now_ms + resend_pause_ms(row.attempts, resend_after_ms),
        "reason": reason[:_ERROR_CHARACTERS_MAX],
    }
    connection.execute(statements.GIVE_BACK, note)
    return True


def take_due(
    connection: Connection, *, now_ms: int, count: int, resend_after_ms: int, attempts_max: int
) -> Due:
    """Find at most `count` rows that nobody claimed or finished in time, the oldest first.

    Those sent `attempts_max` times already are given up, the others counted and set due again, so
    send them after the commit. Two sweeps at once take different rows.
    """
    rows = connection.execute(statements.DUE, {"now_ms": now_ms, "count": count}).all()
    again = [row for row in rows if row.attempts < attempts_max]
    given_up = [row for row in rows if row.attempts >= attempts_max]
    if again:
        connection.execute(
            statements.SENT_AGAIN, [_next_due(row, now_ms, resend_after_ms) for row in again]
        )
    if given_up:
        connection.execute(
            statements.GIVE_UP, [{"of_id": row.id, "now_ms": now_ms} for row in given_up]
        )
    return Due([_hint(row) for row in again], [_hint(row) for row in given_up])


def delete_finished(connection: Connection, *, finished_before_ms: int, count: int) -> int:
    """Delete at most `count` rows finished before a moment; return how many it deleted."""
    bounds = {"finished_before_ms": finished_before_ms, "count": count}
    return connection.execute(statements.DELETE_FINISHED, bounds).rowcount


def withdraw(connection: Connection, outbox_id: int) -> bool:
    """Delete a row that nobody works on; its hint, wherever it is, then does nothing."""
    return connection.execute(statements.WITHDRAW, {"of_id": outbox_id}).rowcount > 0


def read(connection: Connection, outbox_id: int) -> Entry | None:
    """Return a row, None when it was deleted or never was."""
    row = connection.execute(statements.READ, {"of_id": outbox_id}).first()
    if row is None:
        return None
    return Entry(
        hint=_hint(row),
        args=_decode_args(row.args),
        state=_state(row),
        attempts=row.attempts,
        created_at_ms=row.created_at_ms,
        finished_at_ms=row.finished_at_ms,
        last_error=row.last_error,
    )


def count_failed(connection: Connection) -> int:
    """Return how many rows were given up and still wait for a person."""
    return connection.execute(statements.COUNT_FAILED).scalar_one()


def resend_pause_ms(attempts: int, resend_after_ms: int) -> int:
    """Return how long to wait after having sent again `attempts` times: doubling, up to an hour."""
    return min(resend_after_ms << min(attempts, 32), max(RESEND_PAUSE_MS_MAX, resend_after_ms))


def _next_due(row: Row[Any], now_ms: int, resend_after_ms: int) -> dict[str, int]:
    pause_ms = resend_pause_ms(row.attempts + 1, resend_after_ms)
    return {"of_id": row.id, "new_due_at_ms": now_ms + pause_ms}


def _hint(row: Row[Any]) -> Hint:
    return Hint(row.id, row.task, row.task_queue, row.request_id)


def _state(row: Row[Any]) -> State:
    if row.finished_at_ms is not None:
        return State.FINISHED
    if row.failed_at_ms is not None:
        return State.FAILED
    return State.WAITING if row.claim_id is None else State.CLAIMED


def _decode_args(text: str) -> list[Any]:
    return msgspec.json.decode(text, type=list[Any])
