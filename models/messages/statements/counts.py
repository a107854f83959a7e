"""Where messages are and how many: counters kept by every commit, never a COUNT of the tables."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    Connection,
    Row,
    Table,
    bindparam,
    cast,
    delete,
    func,
    literal,
    null,
    select,
    text,
    union_all,
)

from models.messages import tables
from models.messages.rules import MessageState, Tally
from models.messages.statements.parameters import rows_as_json

_ADD: Final = {
    "postgresql": text(
        """
        INSERT INTO message_counter (shard, queue, type, state, n)
        SELECT :shard, change->>0, change->>1, change->>2, CAST(change->>3 AS bigint)
        FROM jsonb_array_elements(CAST(:changes AS jsonb)) WITH ORDINALITY AS changes (change, turn)
        ORDER BY turn
        ON CONFLICT (shard, queue, type, state) DO UPDATE SET n = message_counter.n + excluded.n
        """
    ),
    "sqlite": text(
        """
        INSERT INTO message_counter (shard, queue, type, state, n)
        SELECT :shard, value->>0, value->>1, value->>2, value->>3 FROM json_each(:changes)
        WHERE true
        ON CONFLICT (shard, queue, type, state) DO UPDATE SET n = message_counter.n + excluded.n
        """
    ),
}


# While a transaction stays open elsewhere, no old version of a counter goes away, and whoever adds
# to it goes through all of them. So a writer that got slow goes on in other rows, which are
# counters as well; at night they are summed.
_SHARDS: Final = 10_000_000  # numbers below are writers, the epochs of one are so far apart
_EPOCHS_MAX: Final = 32
_WINDOW: Final = 1_000
_SLOW_S: Final = 0.002  # on average; twenty times what it takes


class Epochs:
    """Which rows a connection adds to; for one thread."""

    def __init__(self) -> None:
        self._number = 0
        self._count = 0
        self._spent_s = 0.0

    def shard(self, of_writer: int) -> int:
        """Return the shard to add to."""
        return of_writer + self._number * _SHARDS

    def note(self, spent_s: float) -> None:
        """Note how long adding took; go on elsewhere after a slow time."""
        self._count += 1
        self._spent_s += spent_s
        if self._count == _WINDOW:
            if self._spent_s > _SLOW_S * _WINDOW:
                self._number = (self._number + 1) % _EPOCHS_MAX
            self._count, self._spent_s = 0, 0.0


def bump(connection: Connection, shard: int, tally: Tally) -> None:
    """Add a transaction's changes to the counters of its writer's shard, of any epoch."""
    epochs = connection.info.setdefault("counter_epochs", Epochs())
    began_s = time.monotonic()
    _add(connection, epochs.shard(shard), tally.changes())
    epochs.note(time.monotonic() - began_s)


def _add(
    connection: Connection, shard: int, changes: Iterable[tuple[tuple[str, str, str], int]]
) -> None:
    rows = [(*key, n) for key, n in changes]
    if rows:
        connection.execute(
            _ADD[connection.dialect.name], {"shard": shard, "changes": rows_as_json(rows)}
        )


_COUNTS: Final = (
    select(
        tables.counter.c.queue,
        tables.counter.c.type,
        tables.counter.c.state,
        func.sum(tables.counter.c.n).label("n"),
    )
    .group_by(tables.counter.c.queue, tables.counter.c.type, tables.counter.c.state)
    .having(func.sum(tables.counter.c.n) != 0)
)


def read_counters(connection: Connection) -> list[tuple[str, str, str, int]]:
    """Return (queue, type, state, number) for every combination that is not empty."""
    return [(row.queue, row.type, row.state, int(row.n)) for row in connection.execute(_COUNTS)]


_WAITING: Final = select(func.coalesce(func.sum(tables.counter.c.n), 0)).where(
    tables.counter.c.queue == bindparam("of_queue"),
    tables.counter.c.state.in_((MessageState.QUEUED.value, MessageState.DELAYED.value)),
)


def waiting(connection: Connection, queue: str) -> int:
    """Return how many messages of a queue wait, for a consumer or for their moment."""
    return int(connection.execute(_WAITING, {"of_queue": queue}).scalar_one())


def read_shards(connection: Connection) -> list[int]:
    """Return the shards that hold counters."""
    shards = select(tables.counter.c.shard).distinct().order_by(tables.counter.c.shard)
    return list(connection.execute(shards).scalars())


_SHARD_ROWS: Final = (
    select(
        tables.counter.c.queue, tables.counter.c.type, tables.counter.c.state, tables.counter.c.n
    )
    .where(tables.counter.c.shard == bindparam("old_shard"))
    .with_for_update()
)


_REMOVE_ROW: Final = delete(tables.counter).where(
    tables.counter.c.shard == bindparam("of_shard"),
    tables.counter.c.queue == bindparam("of_queue"),
    tables.counter.c.type == bindparam("of_type"),
    tables.counter.c.state == bindparam("of_state"),
)


def fold_shard(connection: Connection, old_shard: int, shard: int) -> None:
    """Add the counters of one shard to those of another, so that shards do not pile up.

    The rows are locked in the order in which their writer takes them: no two can deadlock.
    """
    order = (tables.counter.c.queue, tables.counter.c.type, tables.counter.c.state)
    if connection.dialect.name == "postgresql":
        ordered = _SHARD_ROWS.order_by(*(column.collate("C") for column in order))
    else:
        ordered = _SHARD_ROWS.order_by(*order)
    rows = connection.execute(ordered, {"old_shard": old_shard}).all()
    if not rows:
        return
    # One by one: a row that its writer made since is not among those that are added.
    connection.execute(
        _REMOVE_ROW,
        [
            {
                "of_shard": old_shard,
                "of_queue": row.queue,
                "of_type": row.type,
                "of_state": row.state,
            }
            for row in rows
        ],
    )
    _add(connection, shard, (((row.queue, row.type, row.state), row.n) for row in rows if row.n))


def count_tables(connection: Connection, archived_until_ms: int) -> dict[tuple[str, str, str], int]:
    """Count the tables themselves, by (queue, type, state): slow, to check the counters against."""
    counted: dict[tuple[str, str, str], int] = {}
    is_archived = tables.done.c.acknowledged_at_ms <= archived_until_ms
    parts: list[tuple[Table, Any, MessageState]] = [
        (table, None, state) for table, state in tables.STATES if table is not tables.done
    ]
    parts.append((tables.done, ~is_archived, MessageState.ACKNOWLEDGED))
    parts.append((tables.done, is_archived, MessageState.ARCHIVED))
    for table, condition, state in parts:
        statement = select(table.c.queue, table.c.type, func.count().label("n")).group_by(
            table.c.queue, table.c.type
        )
        if condition is not None:
            statement = statement.where(condition)
        for row in connection.execute(statement):
            key = (row.queue, row.type or "", state.value)
            counted[key] = counted.get(key, 0) + row.n
    return counted


def correct_counters(
    connection: Connection, shard: int, changes: Mapping[tuple[str, str, str], int]
) -> None:
    """Add what the counters lack, negative where they have too much."""
    _add(connection, shard, sorted(changes.items()))


_ENDS_OF_LANE: Final = text(
    """
    SELECT (SELECT created_at_ms FROM message_ready
            WHERE queue = :queue AND lane = :lane ORDER BY id LIMIT 1) AS oldest,
           (SELECT created_at_ms FROM message_ready
            WHERE queue = :queue AND lane = :lane ORDER BY id DESC LIMIT 1) AS newest
    """
)


def ends_of_lane(connection: Connection, queue: str, lane: int) -> tuple[int, int] | None:
    """Return when the oldest and the newest message of a lane came in; None for an empty lane."""
    row = connection.execute(_ENDS_OF_LANE, {"queue": queue, "lane": lane}).one()
    return None if row.oldest is None else (row.oldest, row.newest)


def find(connection: Connection, ids: Sequence[int]) -> dict[int, Row[Any]]:
    """Say where messages are: rows of id, state, token, attempts and time of the ack."""
    finds = [
        select(
            table.c.id,
            literal(state.value).label("state"),
            _column_or_null(table, "lock_token"),
            table.c.attempt_count,
            _column_or_null(table, "acknowledged_at_ms"),
        ).where(table.c.id.in_(ids))
        for table, state in tables.STATES
    ]
    return {row.id: row for row in connection.execute(union_all(*finds))}


def _column_or_null(table: Table, name: str) -> Any:
    if name in table.c:
        return table.c[name]
    return cast(null(), tables.done.c[name].type).label(name)
