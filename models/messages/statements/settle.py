"""Ending leases: ack, nack, touch, lapse. The token is part of the statement, not checked first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    text,
    tuple_,
    update,
)

from models.messages import tables
from models.messages.rules import (
    LAPSED,
    Held,
    MessageState,
    Returned,
    Tally,
    state_after_failure,
)
from models.messages.statements.counts import bump
from models.messages.statements.parameters import COLUMNS, is_sqlite, rows_as_json

# As `= ANY` of an array the ids stay on the index; a join would scan the table once analyzed.
_ACK_POSTGRESQL: Final = text(
    f"""
    WITH held AS (
        SELECT CAST(pair->>0 AS bigint) AS id, pair->>1 AS lock_token
        FROM jsonb_array_elements(CAST(:helds AS jsonb)) AS pairs (pair)
    ), acked AS (
        DELETE FROM message_leased
        WHERE id = ANY (ARRAY (SELECT id FROM held))
          AND (id, lock_token) IN (SELECT id, lock_token FROM held)
        RETURNING {COLUMNS}, lock_token, consumer_id
    )
    INSERT INTO message_done ({COLUMNS}, lock_token, consumer_id, acknowledged_at_ms)
    SELECT {COLUMNS}, lock_token, consumer_id, :now_ms FROM acked
    RETURNING id, lock_token, queue, type
    """  # noqa: S608
)
# SQLite has no DELETE within another statement; its transaction holds the lock from the start.
_COPY_TO_DONE_SQLITE: Final = text(
    f"""
    INSERT INTO message_done ({COLUMNS}, lock_token, consumer_id, acknowledged_at_ms)
    SELECT {COLUMNS}, lock_token, consumer_id, :now_ms FROM message_leased
    WHERE id IN (SELECT value->>0 FROM json_each(:helds))
      AND (id, lock_token) IN (SELECT value->>0, value->>1 FROM json_each(:helds))
    RETURNING id, lock_token, queue, type
    """  # noqa: S608
)
_REMOVE_LEASED_SQLITE: Final = text(
    "DELETE FROM message_leased WHERE id IN (SELECT value FROM json_each(:ids))"
)


def acknowledge(
    connection: Connection, helds: Sequence[Held], *, now_ms: int, tally: Tally
) -> set[Held]:
    """Move leased messages to the done ones and return those whose token held."""
    pairs = rows_as_json((held.id, held.lock_token) for held in helds)
    parameters = {"helds": pairs, "now_ms": now_ms}
    if is_sqlite(connection):
        rows = connection.execute(_COPY_TO_DONE_SQLITE, parameters).all()
        ids = rows_as_json(row.id for row in rows)
        connection.execute(_REMOVE_LEASED_SQLITE, {"ids": ids})
    else:
        rows = connection.execute(_ACK_POSTGRESQL, parameters).all()
    for (queue, type_), count in Counter((row.queue, row.type) for row in rows).items():
        tally.move(
            queue,
            type_,
            source=MessageState.PROCESSING,
            target=MessageState.ACKNOWLEDGED,
            count=count,
        )
    return {Held(row.id, row.lock_token) for row in rows}


def take_back(connection: Connection, helds: Sequence[Held]) -> list[Mapping[Any, Any]]:
    """Remove leased messages whose token holds, and return their rows."""
    pairs = [(held.id, held.lock_token) for held in helds]
    statement = (
        delete(tables.leased)
        .where(
            tables.leased.c.id.in_([held.id for held in helds]),
            tuple_(tables.leased.c.id, tables.leased.c.lock_token).in_(pairs),
        )
        .returning(tables.leased)
    )
    return list(connection.execute(statement).mappings())


_EXTEND: Final = (
    update(tables.leased)
    .where(
        tables.leased.c.id == bindparam("held_id"),
        tables.leased.c.lock_token == bindparam("held_lock_token"),
    )
    .values(
        lease_until_ms=bindparam("moment_ms")
        + func.coalesce(bindparam("extend_ms"), tables.leased.c.lease_length_ms)
    )
    .returning(tables.leased.c.lease_until_ms)
)


def extend(connection: Connection, held: Held, extend_ms: int | None, *, now_ms: int) -> int | None:
    """Move the end of a lease and return it; None when the token does not hold."""
    return connection.execute(
        _EXTEND,
        {
            "held_id": held.id,
            "held_lock_token": held.lock_token,
            "moment_ms": now_ms,
            "extend_ms": extend_ms,
        },
    ).scalar_one_or_none()


_LAPSED_IDS: Final = (
    select(tables.leased.c.id)
    .where(tables.leased.c.lease_until_ms <= bindparam("moment_ms"))
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)


def take_lapsed(connection: Connection, *, count: int, now_ms: int) -> list[Mapping[Any, Any]]:
    """Remove up to `count` messages whose lease ran out, and return their rows."""
    ids = connection.execute(_LAPSED_IDS, {"moment_ms": now_ms, "count": count}).scalars().all()
    if not ids:
        return []
    statement = delete(tables.leased).where(tables.leased.c.id.in_(ids)).returning(tables.leased)
    return list(connection.execute(statement).mappings())


def first_lease_end_ms(connection: Connection) -> int | None:
    """Return when the next lease ends; reads the whole table of leased messages."""
    return connection.execute(select(func.min(tables.leased.c.lease_until_ms))).scalar()


def put_ready(connection: Connection, rows: Iterable[Mapping[Any, Any]]) -> None:
    """Let messages wait again, each at its old place."""
    values = [{name: row[name] for name in tables.MESSAGE_COLUMNS} for row in rows]
    if values:
        connection.execute(insert(tables.ready), values)


def put_dead(
    connection: Connection, rows: Iterable[Mapping[Any, Any]], *, reason: str, now_ms: int
) -> None:
    """Lay messages by that had their last attempt."""
    values = [
        {
            **{name: row[name] for name in tables.MESSAGE_COLUMNS},
            "reason": reason,
            "died_at_ms": now_ms,
        }
        for row in rows
    ]
    if values:
        connection.execute(insert(tables.dead), values)


def put_back(
    connection: Connection,
    rows: Iterable[Mapping[Any, Any]],
    *,
    reason: str,
    error: str | None = None,
    now_ms: int,
    tally: Tally,
) -> list[Returned]:
    """Let messages that were taken from their consumers wait again, or die of their last attempt.

    `reason` is kept with the message, `error` is what the consumer said.
    """
    queued: list[Mapping[Any, Any]] = []
    died: list[Mapping[Any, Any]] = []
    outcomes: list[Returned] = []
    for taken in rows:
        row = {**taken, "last_error": reason}
        state = state_after_failure(row["attempt_count"], row["max_attempts"])
        (died if state is MessageState.DEAD else queued).append(row)
        tally.move(row["queue"], row["type"], source=MessageState.PROCESSING, target=state)
        outcomes.append(returned(row, state, error=error))
    put_ready(connection, queued)
    put_dead(connection, died, reason=reason, now_ms=now_ms)
    return outcomes


def returned(
    row: Mapping[Any, Any], state: MessageState, *, error: str | None, due_at_ms: int | None = None
) -> Returned:
    """Say where a message went that was taken from its consumer."""
    return Returned(
        id=row["id"],
        queue=row["queue"],
        type=row["type"],
        state=state,
        attempt_count=row["attempt_count"],
        max_attempts=row["max_attempts"],
        error=error,
        due_at_ms=due_at_ms,
    )


def collect_lapsed(
    connection: Connection, *, count: int, now_ms: int, tally: Tally
) -> list[Returned]:
    """Put back up to `count` messages whose lease ran out."""
    rows = take_lapsed(connection, count=count, now_ms=now_ms)
    return put_back(connection, rows, reason=LAPSED, now_ms=now_ms, tally=tally)


def give_back(connection: Connection, helds: Sequence[Held], *, shard: int) -> None:
    """Undo leases whose consumer never heard of them: same place, and the attempt not counted."""
    tally = Tally()
    rows = take_back(connection, helds)
    for row in rows:
        tally.move(
            row["queue"], row["type"], source=MessageState.PROCESSING, target=MessageState.QUEUED
        )
    put_ready(connection, [{**row, "attempt_count": row["attempt_count"] - 1} for row in rows])
    bump(connection, shard, tally)
