"""What is done to messages: operations, their chunks, and what came of each message."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Connection, Row, bindparam, insert, select, update

from models.mail.operations import Chunk, Operation, Settled
from models.mail.rules import GOOD, Action, Outcome, Result
from models.mail.tables import chunk, operation, outcome

_decode_texts: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_encode: Final = msgspec.json.Encoder().encode
_MOMENT: Final = bindparam("moment_ms", type_=BigInteger)
_LOCKED: Final = select(operation).where(operation.c.id == bindparam("of_id")).with_for_update()
_BY_ID: Final = select(operation).where(operation.c.id == bindparam("of_id"))
# Those that failed first: a page of many shows what needs somebody.
_OUTCOMES_OF: Final = select(outcome).where(
    outcome.c.operation_id.in_(bindparam("of_ids", expanding=True)),
    outcome.c.message_id == bindparam("of_message_id"),
)
_OUTCOMES: Final = (
    select(outcome)
    .where(outcome.c.operation_id == bindparam("of_id"))
    .order_by(
        outcome.c.result.in_([each.value for each in GOOD]), outcome.c.host, outcome.c.message_id
    )
    .limit(bindparam("count"))
)
_CHUNKS: Final = select(chunk).where(chunk.c.operation_id == bindparam("of_id"))
_OPEN: Final = _CHUNKS.where(chunk.c.settled_at_ms.is_(None)).order_by(chunk.c.number)
_UNSENT: Final = (
    _CHUNKS.where(
        chunk.c.host == bindparam("of_host"), chunk.c.settled_at_ms.is_(None), chunk.c.sends == 0
    )
    .order_by(chunk.c.number)
    .limit(bindparam("count"))
)
_DUE: Final = (
    select(chunk)
    .where(chunk.c.due_at_ms <= _MOMENT)
    .order_by(chunk.c.due_at_ms)
    .limit(bindparam("count"))
)
_SENT: Final = (
    update(chunk)
    .where(chunk.c.operation_id == bindparam("of_id"), chunk.c.number == bindparam("of_number"))
    .values(sends=chunk.c.sends + 1, due_at_ms=bindparam("due_ms", type_=BigInteger))
)
_SETTLE_CHUNK: Final = (
    update(chunk)
    .where(
        chunk.c.operation_id == bindparam("of_id"),
        chunk.c.number == bindparam("of_number"),
        chunk.c.settled_at_ms.is_(None),
    )
    .values(settled_at_ms=_MOMENT, due_at_ms=None)
)
_NOTE: Final = (
    update(operation)
    .where(operation.c.id == bindparam("of_id"))
    .values(
        settled=operation.c.settled + bindparam("more"),
        succeeded=operation.c.succeeded + bindparam("good"),
    )
)
_FINISH: Final = (
    update(operation)
    .where(
        operation.c.id == bindparam("of_id"),
        operation.c.settled >= operation.c.messages,
        operation.c.finished_at_ms.is_(None),
    )
    .values(finished_at_ms=_MOMENT)
)
_OLD: Final = (
    select(operation.c.id)
    .where(
        operation.c.created_at_ms < bindparam("before_ms", type_=BigInteger),
        operation.c.expires_at_ms < bindparam("before_ms", type_=BigInteger),
    )
    .order_by(operation.c.created_at_ms)
    .limit(bindparam("count"))
)
_CANCEL: Final = (
    update(operation)
    .where(
        operation.c.id == bindparam("of_id"),
        operation.c.finished_at_ms.is_(None),
        operation.c.cancelled_at_ms.is_(None),
    )
    .values(cancelled_at_ms=_MOMENT)
)


def add(connection: Connection, made: Operation, chunks: Sequence[Chunk], *, due_ms: int) -> None:
    """Store an operation that is to begin; a chunk that nobody sends is called off at `due_ms`."""
    row = {
        "id": made.id,
        "action": made.action.value,
        "addresses": _encode(made.addresses).decode(),
        "actor": made.actor,
        "messages": made.messages,
        "settled": 0,
        "succeeded": 0,
        "created_at_ms": made.created_at_ms,
        "expires_at_ms": made.expires_at_ms,
    }
    connection.execute(insert(operation), row)
    rows = [
        {
            "operation_id": made.id,
            "number": each.number,
            "host": each.host,
            "queue": each.queue,
            "message_ids": _encode(each.message_ids).decode(),
            "sends": 0,
            "due_at_ms": due_ms,
        }
        for each in chunks
    ]
    if rows:
        connection.execute(insert(chunk), rows)


def read(connection: Connection, operation_id: str, *, lock: bool = False) -> Operation | None:
    """Return an operation; with `lock` nobody else changes it before the commit."""
    row = connection.execute(_LOCKED if lock else _BY_ID, {"of_id": operation_id}).first()
    return None if row is None else _operation(row)


def outcomes(connection: Connection, operation_id: str, *, count: int) -> list[Settled]:
    """Return what came of at most `count` of an operation's messages so far."""
    rows = connection.execute(_OUTCOMES, {"of_id": operation_id, "count": count})
    return [_settled(row) for row in rows]


def outcomes_of(
    connection: Connection, message_id: str, operation_ids: Sequence[str]
) -> dict[str, Settled]:
    """Return what came of a message in operations, by their ids, as far as that is kept."""
    rows = connection.execute(
        _OUTCOMES_OF, {"of_message_id": message_id, "of_ids": list(operation_ids)}
    )
    return {row.operation_id: _settled(row) for row in rows}


def open_chunks(connection: Connection, operation_id: str) -> list[Chunk]:
    """Return the chunks of an operation that are not settled, in their order."""
    return [_chunk(row) for row in connection.execute(_OPEN, {"of_id": operation_id})]


def unsent_chunks(
    connection: Connection, operation_id: str, host: str, *, count: int
) -> list[Chunk]:
    """Return at most `count` chunks for a host that nobody sent, in their order."""
    values = {"of_id": operation_id, "of_host": host, "count": count}
    rows = connection.execute(_UNSENT, values)
    return [_chunk(row) for row in rows]


def due_chunks(connection: Connection, *, count: int, now_ms: int) -> list[Chunk]:
    """Return at most `count` chunks that should have been settled by now."""
    rows = connection.execute(_DUE, {"moment_ms": now_ms, "count": count})
    return [_chunk(row) for row in rows]


def note_sent(connection: Connection, chunks: Iterable[Chunk], *, due_ms: int) -> None:
    """Note that chunks are being sent; who is not settled by `due_ms` is sent again."""
    for each in chunks:
        values = {"of_id": each.operation_id, "of_number": each.number, "due_ms": due_ms}
        connection.execute(_SENT, values)


def settle(
    connection: Connection, settled: Chunk, found: Sequence[Outcome], *, now_ms: int
) -> bool:
    """Note what came of a chunk, under its operation's lock; False if that was known before."""
    which: Mapping[str, Any] = {
        "of_id": settled.operation_id,
        "of_number": settled.number,
        "moment_ms": now_ms,
    }
    if connection.execute(_SETTLE_CHUNK, which).rowcount == 0:
        return False
    note_outcomes(connection, settled.operation_id, settled.host, found, now_ms=now_ms)
    return True


def note_outcomes(
    connection: Connection,
    operation_id: str,
    host: str,
    found: Sequence[Outcome],
    *,
    now_ms: int,
) -> None:
    """Note what came of messages, each once; with the last one the operation is finished."""
    rows = [
        {
            "operation_id": operation_id,
            "host": host,
            "message_id": each.message_id,
            "result": each.result.value,
            "said": each.said.replace("\0", "\N{REPLACEMENT CHARACTER}"),
            "at_ms": now_ms,
        }
        for each in found
    ]
    if rows:
        connection.execute(insert(outcome), rows)
    good = sum(each.result in GOOD for each in found)
    connection.execute(_NOTE, {"of_id": operation_id, "more": len(rows), "good": good})
    connection.execute(_FINISH, {"of_id": operation_id, "moment_ms": now_ms})


def cancel(connection: Connection, operation_id: str, *, now_ms: int) -> bool:
    """Note that no chunk of an operation is sent any more; False if it is over anyway."""
    values = {"of_id": operation_id, "moment_ms": now_ms}
    return connection.execute(_CANCEL, values).rowcount > 0


def forget(connection: Connection, *, before_ms: int, count: int) -> int:
    """Delete at most `count` operations that began before a moment and are over; return how many.

    One that nobody finished is over once it is expired.
    """
    ids = list(connection.execute(_OLD, {"before_ms": before_ms, "count": count}).scalars())
    for table, column in (
        (outcome, outcome.c.operation_id),
        (chunk, chunk.c.operation_id),
        (operation, operation.c.id),
    ):
        connection.execute(table.delete().where(column.in_(ids)))
    return len(ids)


def read_chunk(connection: Connection, operation_id: str, number: int) -> Chunk | None:
    """Return a chunk."""
    row = connection.execute(
        _CHUNKS.where(chunk.c.number == number), {"of_id": operation_id}
    ).first()
    return None if row is None else _chunk(row)


def _settled(row: Row[Any]) -> Settled:
    return Settled(
        host=row.host,
        outcome=Outcome(message_id=row.message_id, result=Result(row.result), said=row.said),
    )


def _chunk(row: Row[Any]) -> Chunk:
    return Chunk(
        operation_id=row.operation_id,
        number=row.number,
        host=row.host,
        queue=row.queue,
        message_ids=_decode_texts(row.message_ids),
        sends=row.sends,
    )


def _operation(row: Row[Any]) -> Operation:
    return Operation(
        id=row.id,
        action=Action(row.action),
        addresses=_decode_texts(row.addresses),
        actor=row.actor,
        messages=row.messages,
        settled=row.settled,
        succeeded=row.succeeded,
        created_at_ms=row.created_at_ms,
        expires_at_ms=row.expires_at_ms,
        finished_at_ms=row.finished_at_ms,
        cancelled_at_ms=row.cancelled_at_ms,
    )
