"""Giving waiting messages to consumers."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, TextClause, insert, text

from models.messages import tables
from models.messages.rules import Lease, LeaseRequest, MessageState, Tally, priority_of
from models.messages.statements.parameters import COLUMNS, is_sqlite, rows_as_parameters

_LEASED_COLUMNS: Final = "lock_token, consumer_id, leased_at_ms, lease_length_ms, lease_until_ms"


def _pick(*, by_type: bool) -> str:
    """Return the ids of the next messages; the array makes PostgreSQL choose them only once."""
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
            WHERE id = ANY (ARRAY ({_pick(by_type=by_type)} FOR UPDATE SKIP LOCKED))
            RETURNING {COLUMNS}
        ), turns AS (
            SELECT *, row_number() OVER (ORDER BY lane, id) AS turn FROM picked
        )
        INSERT INTO message_leased ({COLUMNS}, {_LEASED_COLUMNS})
        SELECT id, queue, lane, type, payload, attempt_count + 1, max_attempts, turns.lease_ms,
               created_at_ms, last_error, lock_token, consumer_id, :now_ms,
               coalesce(consumer.lease_ms, turns.lease_ms),
               :now_ms + coalesce(consumer.lease_ms, turns.lease_ms)
        FROM turns JOIN
             unnest(CAST(:lock_token AS text[]), CAST(:consumer_id AS text[]),
                    CAST(:lease_ms AS bigint[]))
             WITH ORDINALITY AS consumer (lock_token, consumer_id, lease_ms, turn) USING (turn)
        RETURNING *
        """  # noqa: S608
    )


_LEASE_POSTGRESQL: Final = {by: _lease_postgresql(by_type=by) for by in (False, True)}
_LEASE_SQLITE: Final = {
    by: text(
        f"DELETE FROM message_ready WHERE id IN ({_pick(by_type=by)}) RETURNING {COLUMNS}"  # noqa: S608
    )
    for by in (False, True)
}


def lease(
    connection: Connection, requests: Sequence[LeaseRequest], *, now_ms: int, tally: Tally
) -> list[Lease]:
    """Give the next messages to consumers who all ask for the same queue and type.

    The first request gets the first message; with too few messages the last ones get none.
    """
    first = requests[0]
    leases = _move_to_leased(connection, requests, now_ms=now_ms)
    for given in leases:
        tally.move(
            first.queue,
            given.type,
            source=MessageState.QUEUED,
            target=MessageState.PROCESSING,
        )
    return leases


def _move_to_leased(
    connection: Connection, requests: Sequence[LeaseRequest], *, now_ms: int
) -> list[Lease]:
    first = requests[0]
    asked = {"queue": first.queue, "type": first.type, "count": len(requests)}
    by_type = first.type is not None
    if not is_sqlite(connection):
        rows = [(ask.lock_token, ask.consumer_id, ask.lease_ms) for ask in requests]
        parameters = rows_as_parameters(connection, rows, ("lock_token", "consumer_id", "lease_ms"))
        result = connection.execute(
            _LEASE_POSTGRESQL[by_type], {**asked, **parameters, "now_ms": now_ms}
        )
        return [_lease(row) for row in result.mappings()]
    picked = connection.execute(_LEASE_SQLITE[by_type], asked).mappings().all()
    leased_rows = [
        _leased_row(row, request, now_ms=now_ms)
        for row, request in zip(sorted(picked, key=_place), requests, strict=False)
    ]
    if leased_rows:
        connection.execute(insert(tables.leased), leased_rows)
    return [_lease(row) for row in leased_rows]


def _place(row: Mapping[Any, Any]) -> tuple[int, int]:
    return row["lane"], row["id"]


def _leased_row(row: Mapping[Any, Any], request: LeaseRequest, *, now_ms: int) -> dict[str, Any]:
    length_ms = request.lease_ms if request.lease_ms is not None else row["lease_ms"]
    return {
        **row,
        "attempt_count": row["attempt_count"] + 1,
        "lock_token": request.lock_token,
        "consumer_id": request.consumer_id,
        "leased_at_ms": now_ms,
        "lease_length_ms": length_ms,
        "lease_until_ms": now_ms + length_ms,
    }


def _lease(row: Mapping[Any, Any]) -> Lease:
    return Lease(
        id=row["id"],
        type=row["type"],
        payload=row["payload"],
        priority=priority_of(row["lane"]),
        attempt_count=row["attempt_count"],
        max_attempts=row["max_attempts"],
        created_at_ms=row["created_at_ms"],
        leased_at_ms=row["leased_at_ms"],
        lease_until_ms=row["lease_until_ms"],
        lock_token=row["lock_token"],
        consumer_id=row["consumer_id"],
    )
