"""Ending leases: ack, nack, touch, lapse. The token is part of the statement, not checked first."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import (
    Connection,
    bindparam,
    delete,
    func,
    select,
    text,
    tuple_,
    update,
)

from models.messages import tables
from models.messages.policies import NO_SETTINGS, QueueSettings, backoff_ms
from models.messages.rules import (
    LAPSED,
    Freed,
    Held,
    MessageState,
    Returned,
    Tally,
    state_after_failure,
)
from models.messages.statements.counts import bump
from models.messages.statements.groups import advance, members_of
from models.messages.statements.parameters import COLUMNS, is_sqlite, rows_as_json
from models.messages.statements.put import put_dead, put_delayed, put_ready

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
    RETURNING id, lock_token, queue, type, group_key
    """  # noqa: S608
)
# SQLite has no DELETE within another statement; its transaction holds the lock from the start.
_COPY_TO_DONE_SQLITE: Final = text(
    f"""
    INSERT INTO message_done ({COLUMNS}, lock_token, consumer_id, acknowledged_at_ms)
    SELECT {COLUMNS}, lock_token, consumer_id, :now_ms FROM message_leased
    WHERE id IN (SELECT value->>0 FROM json_each(:helds))
      AND (id, lock_token) IN (SELECT value->>0, value->>1 FROM json_each(:helds))
    RETURNING id, lock_token, queue, type, group_key
    """  # noqa: S608
)
_REMOVE_LEASED_SQLITE: Final = text(
    "DELETE FROM message_leased WHERE id IN (SELECT value FROM json_each(:ids))"
)


def acknowledge(
    connection: Connection, helds: Sequence[Held], *, now_ms: int, tally: Tally
) -> tuple[set[Held], list[Freed]]:
    """Move leased messages to the done ones; return those whose token held.

    And the messages that are next in their groups.
    """
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
    groups = [(row.queue, row.group_key, row.id) for row in rows if row.group_key is not None]
    freed = [Freed(row["id"], row["queue"], row["type"]) for row in advance(connection, groups)]
    return {Held(row.id, row.lock_token) for row in rows}, freed


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


@dataclass(frozen=True, slots=True)
class Failure:
    """A message that was taken from its consumer, and what is kept of that."""

    row: Mapping[Any, Any]
    reason: str  # kept with the message
    error: str | None = None  # what the consumer said
    delay_ms: int = 0  # before the next attempt


def put_back(
    connection: Connection, failures: Iterable[Failure], *, now_ms: int, tally: Tally
) -> list[Returned]:
    """Let messages that were taken from their consumers wait again, or die of their last attempt.

    Of a group whose message died the next one goes into its line.
    """
    queued: list[Mapping[Any, Any]] = []
    later: list[tuple[Mapping[Any, Any], int]] = []
    died: list[Mapping[Any, Any]] = []
    outcomes: list[Returned] = []
    for failure in failures:
        row = {**failure.row, "last_error": failure.reason}
        state = state_after_failure(row["attempt_count"], row["max_attempts"])
        due_at_ms = None
        if state is MessageState.DEAD:
            died.append(row)
        elif failure.delay_ms:
            state, due_at_ms = MessageState.DELAYED, now_ms + failure.delay_ms
            later.append((row, due_at_ms))
        else:
            queued.append(row)
        tally.move(row["queue"], row["type"], source=MessageState.PROCESSING, target=state)
        outcomes.append(_returned(row, state, error=failure.error, due_at_ms=due_at_ms))
    put_ready(connection, queued)
    put_delayed(connection, later)
    put_dead(connection, died, now_ms=now_ms)
    nexts = {
        (row["queue"], row["group_key"]): Freed(row["id"], row["queue"], row["type"])
        for row in advance(connection, members_of(died))
    }
    if not nexts:
        return outcomes
    freed = {row["id"]: nexts.get((row["queue"], row["group_key"])) for row in died}
    return [replace(outcome, freed=freed.get(outcome.id)) for outcome in outcomes]


def _returned(
    row: Mapping[Any, Any], state: MessageState, *, error: str | None, due_at_ms: int | None
) -> Returned:
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
    connection: Connection,
    settings: Mapping[str, QueueSettings],
    *,
    count: int,
    now_ms: int,
    tally: Tally,
) -> list[Returned]:
    """Put back up to `count` messages whose lease ran out, as the settings of their queue say."""
    failures = [
        Failure(
            row,
            LAPSED,
            delay_ms=backoff_ms(
                settings.get(row["queue"], NO_SETTINGS), row["attempt_count"], row["id"]
            ),
        )
        for row in take_lapsed(connection, count=count, now_ms=now_ms)
    ]
    return put_back(connection, failures, now_ms=now_ms, tally=tally)


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
