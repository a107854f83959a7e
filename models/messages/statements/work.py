"""What consumers did, summed by the minute, and which messages fail."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, text

from models.messages import tables
from models.messages.histories import Failing, Work, WorkKey
from models.messages.history_tables import consumer_minute, failing

# With more names within a minute, the others' work is summed under "".
_CONSUMERS_PER_MINUTE_MAX: Final = 500
_NUMBERS: Final = ("leased", "acknowledged", "given_back", "lapsed", "held_ms_sum", "last_at_ms")
_encode: Final = msgspec.json.Encoder().encode
_decode_spread: Final = msgspec.json.Decoder(dict[int, int]).decode

_SAVE: Final = text(
    """
    INSERT INTO message_consumer_minute (minute_ms, consumer_id, queue, type, leased, acknowledged,
                                         given_back, lapsed, held_ms_sum, last_at_ms, spread)
    VALUES (:minute_ms, :consumer_id, :queue, :type, :leased, :acknowledged,
            :given_back, :lapsed, :held_ms_sum, :last_at_ms, :spread)
    ON CONFLICT (minute_ms, consumer_id, queue, type) DO UPDATE
    SET leased = excluded.leased, acknowledged = excluded.acknowledged,
        given_back = excluded.given_back, lapsed = excluded.lapsed,
        held_ms_sum = excluded.held_ms_sum, last_at_ms = excluded.last_at_ms,
        spread = excluded.spread
    """
)


def add_work(connection: Connection, work: Mapping[WorkKey, Work]) -> None:
    """Add what was done to the sums; the caller is the only one who does so at a time."""
    if not work:
        return
    minutes = {key[0] for key in work}
    names = _names(connection, minutes)
    folded: dict[WorkKey, Work] = {}
    for key, done in work.items():
        folded.setdefault(_fold(key, names), Work()).add(done)
    for key, before in _read(connection, list(folded)).items():
        folded[key].add(before)
    connection.execute(
        _SAVE,
        [
            {
                **dict(zip(("minute_ms", "consumer_id", "queue", "type"), key, strict=True)),
                **{name: getattr(done, name) for name in _NUMBERS},
                "spread": _encode(done.spread).decode(),
            }
            for key, done in sorted(folded.items())
        ],
    )


def _names(connection: Connection, minutes: set[int]) -> dict[int, set[str]]:
    """Return the names under which work is summed in some minutes."""
    statement = (
        select(consumer_minute.c.minute_ms, consumer_minute.c.consumer_id)
        .where(consumer_minute.c.minute_ms.in_(minutes))
        .distinct()
    )
    names: dict[int, set[str]] = {minute: set() for minute in minutes}
    for row in connection.execute(statement):
        names[row.minute_ms].add(row.consumer_id)
    return names


def _fold(key: WorkKey, names: Mapping[int, set[str]]) -> WorkKey:
    minute_ms, consumer, queue, type_ = key
    seen = names[minute_ms]
    if consumer not in seen and len(seen) >= _CONSUMERS_PER_MINUTE_MAX:
        consumer = ""
    seen.add(consumer)
    return minute_ms, consumer, queue, type_


def _read(connection: Connection, keys: Sequence[WorkKey]) -> dict[WorkKey, Work]:
    """Return the sums under some keys."""
    of_minutes = select(consumer_minute).where(
        consumer_minute.c.minute_ms.in_({key[0] for key in keys}),
        consumer_minute.c.consumer_id.in_({key[1] for key in keys}),
    )
    wanted = set(keys)
    found = ((_key(row), row) for row in connection.execute(of_minutes))
    return {key: _work(row) for key, row in found if key in wanted}


def consumers(connection: Connection, *, since_ms: int, until_ms: int, count: int) -> list[str]:
    """Return the names of those who did something in a time, the last seen first."""
    last = func.max(consumer_minute.c.last_at_ms)
    statement = (
        select(consumer_minute.c.consumer_id)
        .where(consumer_minute.c.minute_ms >= since_ms, consumer_minute.c.minute_ms <= until_ms)
        .group_by(consumer_minute.c.consumer_id)
        .order_by(last.desc(), consumer_minute.c.consumer_id)
        .limit(count)
    )
    return list(connection.execute(statement).scalars())


def work_between(
    connection: Connection,
    *,
    since_ms: int,
    until_ms: int,
    names: Sequence[str] | None,
    rows_max: int,
) -> dict[WorkKey, Work]:
    """Return the sums of the minutes that begin in a time, of some consumers or of all.

    With more than `rows_max` of them, the newest.
    """
    statement = (
        select(consumer_minute)
        .where(consumer_minute.c.minute_ms >= since_ms, consumer_minute.c.minute_ms <= until_ms)
        .order_by(consumer_minute.c.minute_ms.desc())
        .limit(rows_max)
    )
    if names is not None:
        statement = statement.where(consumer_minute.c.consumer_id.in_(names))
    return {_key(row): _work(row) for row in connection.execute(statement)}


def held_now(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Return (consumer, queue, type, number) of what is held; reads all that is leased."""
    leased = tables.leased.c
    statement = select(leased.consumer_id, leased.queue, leased.type, func.count()).group_by(
        leased.consumer_id, leased.queue, leased.type
    )
    return [
        (name, queue, type_ or "", n) for name, queue, type_, n in connection.execute(statement)
    ]


def note_failing(connection: Connection, changes: Mapping[int, Failing]) -> None:
    """Add failures, and forget those of messages that no longer fail."""
    if not changes:
        return
    before = {
        row.message_id: row
        for row in connection.execute(
            select(failing).where(failing.c.message_id.in_(list(changes)))
        )
    }
    if before:
        connection.execute(delete(failing).where(failing.c.message_id.in_(list(before))))
    rows = [
        _failing_row(message_id, change, None if change.is_over else before.get(message_id))
        for message_id, change in changes.items()
        if change.failures
    ]
    if rows:
        connection.execute(insert(failing), rows)


def _failing_row(message_id: int, change: Failing, before: Any) -> dict[str, Any]:
    return {
        "message_id": message_id,
        "queue": change.queue,
        "type": change.type,
        "failures": change.failures + (before.failures if before else 0),
        "first_at_ms": before.first_at_ms if before else change.first_at_ms,
        "last_at_ms": change.last_at_ms,
        "consumer_id": change.consumer_id,
    }


def _key(row: Any) -> WorkKey:
    return row.minute_ms, row.consumer_id, row.queue, row.type


def _work(row: Any) -> Work:
    return Work(
        **{name: int(getattr(row, name)) for name in _NUMBERS}, spread=_decode_spread(row.spread)
    )
