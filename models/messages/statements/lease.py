"""Giving waiting messages to consumers."""

from collections import Counter
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, TextClause, bindparam, select, text

from models.messages.marks import Start
from models.messages.rules import Lease, LeaseRequest, MessageState, Tally, priority_of
from models.messages.statements.parameters import COLUMNS, is_sqlite, rows_as_json
from models.messages.tables import MESSAGE_COLUMNS, ready

_LEASED_COLUMNS: Final = (
    f"{COLUMNS}, lock_token, consumer_id, leased_at_ms, lease_length_ms, lease_until_ms"
)


def _pick_postgresql(*, by_type: bool) -> str:
    """Return the ids of the next messages, lane after lane, each behind its mark.

    The bounds of a lane are worded so that nothing but the index in order of claim can serve them:
    by `lane = ...` PostgreSQL may as well run through the primary key. It stops, and locks no more
    rows, once there are enough.
    """
    return f"""
        SELECT next.id
        FROM unnest(CAST(:after AS bigint[])) WITH ORDINALITY AS lanes (after, turn)
        CROSS JOIN LATERAL (
            SELECT id FROM message_ready
            WHERE queue = :queue {"AND type = :type" if by_type else ""}
              AND (lane, id) > (lanes.turn - 1, lanes.after) AND lane < lanes.turn
            ORDER BY lane, id LIMIT :count FOR UPDATE SKIP LOCKED
        ) AS next
        LIMIT :count
        """  # noqa: S608 -- texts of ours


def _pick_sqlite(*, by_type: bool) -> str:
    """Return the ids of the next messages; a row that was taken is gone, and in nobody's way."""
    return (
        "SELECT id FROM message_ready WHERE queue = :queue"  # noqa: S608 -- texts of ours
        + (" AND type = :type" if by_type else "")
        + " ORDER BY lane, id LIMIT :count"
    )


def _lease_postgresql(*, by_type: bool) -> TextClause:
    return text(
        f"""
        WITH picked AS (
            DELETE FROM message_ready
            -- As an array they are chosen only once.
            WHERE id = ANY (ARRAY ({_pick_postgresql(by_type=by_type)}))
            RETURNING {COLUMNS}
        ), turns AS (
            SELECT *, row_number() OVER (ORDER BY lane, id) AS turn FROM picked
        ), consumers AS (
            SELECT ask->>0 AS lock_token, ask->>1 AS consumer_id,
                   CAST(ask->>2 AS bigint) AS lease_ms, turn
            FROM jsonb_array_elements(CAST(:asks AS jsonb)) WITH ORDINALITY AS asks (ask, turn)
        )
        INSERT INTO message_leased ({_LEASED_COLUMNS})
        SELECT id, queue, lane, type, payload, attempt_count + 1, max_attempts, turns.lease_ms,
               created_at_ms, last_error, group_key, lock_token, consumer_id, :now_ms,
               coalesce(consumers.lease_ms, turns.lease_ms),
               :now_ms + coalesce(consumers.lease_ms, turns.lease_ms)
        FROM turns JOIN consumers USING (turn)
        RETURNING id, type, payload, lane, attempt_count, max_attempts, created_at_ms,
                  leased_at_ms, lease_until_ms, lock_token, consumer_id, group_key
        """  # noqa: S608
    )


_LEASE_POSTGRESQL: Final = {by: _lease_postgresql(by_type=by) for by in (False, True)}
_TAKE_SQLITE: Final = {
    by: text(
        f"DELETE FROM message_ready WHERE id IN ({_pick_sqlite(by_type=by)})"  # noqa: S608
        f" RETURNING {COLUMNS}"
    )
    for by in (False, True)
}
_place: Final = itemgetter(*map(MESSAGE_COLUMNS.index, ("lane", "id")))
_PUT_SQLITE: Final = (
    f"INSERT INTO message_leased ({_LEASED_COLUMNS})"  # noqa: S608
    f" VALUES ({', '.join('?' for _ in _LEASED_COLUMNS.split(','))})"
)


def lease(
    connection: Connection,
    requests: Sequence[LeaseRequest],
    start: Start,
    *,
    now_ms: int,
    tally: Tally,
) -> list[Lease]:
    """Give the next messages to consumers who all ask for the same queue and type.

    The first request gets the first message; with too few messages the last ones get none. What
    waits before `start` may be left out.
    """
    queue, type_ = requests[0].queue, requests[0].type
    asked = {"queue": queue, "type": type_, "count": len(requests)}
    if is_sqlite(connection):
        taken = connection.execute(_TAKE_SQLITE[type_ is not None], asked).all()
        leases = _put_sqlite(connection, taken, requests, now_ms=now_ms)
    else:
        asks = rows_as_json((ask.lock_token, ask.consumer_id, ask.lease_ms) for ask in requests)
        result = connection.execute(
            _LEASE_POSTGRESQL[type_ is not None],
            {**asked, "after": _array(start.after), "asks": asks, "now_ms": now_ms},
        )
        leases = [
            Lease(message_id, type_, payload, priority_of(lane), *rest)
            for message_id, type_, payload, lane, *rest in result
        ]
    for given_type, count in Counter(given.type for given in leases).items():
        tally.move(
            queue,
            given_type,
            source=MessageState.QUEUED,
            target=MessageState.PROCESSING,
            count=count,
        )
    return leases


def _array(numbers: Sequence[int]) -> str:
    return f"{{{','.join(map(str, numbers))}}}"


_NEWEST_ID: Final = text("SELECT last_value FROM message_ready_id_seq")


def newest_id(connection: Connection) -> int:
    """Return the id that was given last; on PostgreSQL."""
    return int(connection.execute(_NEWEST_ID).scalar_one())


def _put_sqlite(
    connection: Connection,
    taken: Sequence[Sequence[Any]],
    requests: Sequence[LeaseRequest],
    *,
    now_ms: int,
) -> list[Lease]:
    """Store taken messages as leased; RETURNING gave them in no order."""
    leases: list[Lease] = []
    rows: list[tuple[Any, ...]] = []
    for row, ask in zip(sorted(taken, key=_place), requests, strict=False):
        message_id, queue, lane, type_, payload, attempts, attempts_max, *rest = row
        lease_ms, created_at_ms, _, group_key = rest
        length_ms = lease_ms if ask.lease_ms is None else ask.lease_ms
        token, consumer, until_ms = ask.lock_token, ask.consumer_id, now_ms + length_ms
        kept = (message_id, queue, lane, type_, payload, attempts + 1, attempts_max, *rest)
        rows.append((*kept, token, consumer, now_ms, length_ms, until_ms))
        leases.append(
            Lease(
                id=message_id,
                type=type_,
                payload=payload,
                priority=priority_of(lane),
                attempt_count=attempts + 1,
                max_attempts=attempts_max,
                created_at_ms=created_at_ms,
                leased_at_ms=now_ms,
                lease_until_ms=until_ms,
                lock_token=token,
                consumer_id=consumer,
                group_key=group_key,
            )
        )
    if rows:
        connection.exec_driver_sql(_PUT_SQLITE, rows)
    return leases


_LINES_WITH_MESSAGES: Final = {
    "postgresql": text(
        """
        SELECT line->>0 AS queue, line->>1 AS type
        FROM jsonb_array_elements(CAST(:lines AS jsonb)) AS lines (line)
        WHERE EXISTS (SELECT 1 FROM message_ready
                      WHERE queue = line->>0 AND type = line->>1)
        """
    ),
    "sqlite": text(
        """
        SELECT value->>0 AS queue, value->>1 AS type
        FROM json_each(:lines) AS lines
        WHERE EXISTS (SELECT 1 FROM message_ready AS ready
                      WHERE ready.queue = lines.value->>0 AND ready.type = lines.value->>1)
        """
    ),
}


def lines_with_messages(
    connection: Connection, lines: Sequence[tuple[str, str | None]]
) -> set[tuple[str, str | None]]:
    """Return the lines, of (queue, type), in which a message waits; those of any type always."""
    of_a_type = rows_as_json(line for line in lines if line[1] is not None)
    rows = connection.execute(_LINES_WITH_MESSAGES[connection.dialect.name], {"lines": of_a_type})
    return {(row.queue, row.type) for row in rows} | {line for line in lines if line[1] is None}


_FIRST_OF_QUEUE: Final = select(ready.c.id).where(ready.c.queue == bindparam("of_queue")).limit(1)


def queues_with_messages(connection: Connection, queues: Iterable[str]) -> set[str]:
    """Return those of some queues, few, in which a message waits for a consumer."""
    return {
        queue
        for queue in queues
        if connection.execute(_FIRST_OF_QUEUE, {"of_queue": queue}).first() is not None
    }
