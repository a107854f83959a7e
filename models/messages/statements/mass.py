"""Many messages at once: counting, showing and taking out those that a filter or ids name."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Table, func, select

from models.messages import tables
from models.messages.filters import MessageFilter
from models.messages.rules import MessageState, Tally
from models.messages.statements import changes, filters
from models.messages.statements.archive import archived_until_ms
from models.messages.statements.parameters import is_sqlite

# Since when a message is in its state, where that is not when it came in.
_SINCE: Final = {MessageState.DEAD: "died_at_ms", MessageState.ACKNOWLEDGED: "acknowledged_at_ms"}
# What a transaction holds in memory at a time, about; one message may be larger.
_BYTES_MAX: Final = 16_777_216


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which messages an act is for: named by ids, or fitting a filter since a moment or longer.

    `queue` and `state` are where they are to go: what is there already is left alone.
    """

    states: frozenset[MessageState]
    ids: Sequence[int] | None = None
    filter: MessageFilter | None = None
    as_of_ms: int = 0
    queue: str | None = None
    state: MessageState | None = None


def count(connection: Connection, chosen: Chosen) -> int:
    """Return how many messages are chosen: reads every one that the filter looks at."""
    total = 0
    for table, _, conditions in _places(connection, chosen):
        statement = select(func.count()).select_from(table).where(*conditions)
        total += connection.execute(statement).scalar_one()
    return total


def sample(
    connection: Connection, chosen: Chosen, *, count: int
) -> list[tuple[MessageState, Mapping[str, Any]]]:
    """Return some of the chosen messages, the oldest of each state."""
    found: list[tuple[MessageState, Mapping[str, Any]]] = []
    for table, state, conditions in _places(connection, chosen):
        statement = select(table).where(*conditions).order_by(table.c.id).limit(count - len(found))
        found += [(state, dict(row)) for row in connection.execute(statement).mappings()]
        if len(found) >= count:
            break
    return found


def take(
    connection: Connection,
    chosen: Chosen,
    after: dict[str, int],
    *,
    count: int,
    tally: Tally,
) -> list[tuple[Table, Mapping[str, Any]]]:
    """Take out up to `count` chosen messages, oldest first, fewer where they are large.

    What another has in hand is left to it, unless it is named: then it is waited for. `after`
    holds the last id by table, so that a filter looks at no row twice; it is moved on.
    """
    taken: list[tuple[Table, Mapping[str, Any]]] = []
    bytes_left = _BYTES_MAX
    for table, state, conditions in _places(connection, chosen, lock=True):
        statement = (
            select(table.c.id, _size(connection, table).label("size_bytes"))
            .where(table.c.id > after.get(table.name, 0), *conditions)
            .order_by(table.c.id)
            .limit(count - len(taken))
            .with_for_update(skip_locked=chosen.ids is None)
        )
        ids = []
        for row in connection.execute(statement):
            if bytes_left <= 0:
                break
            bytes_left -= row.size_bytes
            ids.append(row.id)
        if ids:
            if chosen.ids is None:
                after[table.name] = ids[-1]
            rows = changes.remove(connection, table, state, ids, tally=tally)
            taken += [(table, row) for row in sorted(rows, key=lambda row: row["id"])]
        if len(taken) >= count or bytes_left <= 0:
            break
    return taken


def _size(connection: Connection, table: Table) -> ColumnElement[int]:
    """Return the length of a payload; PostgreSQL knows its bytes without reading it."""
    length = func.length if is_sqlite(connection) else func.octet_length
    return length(table.c.payload)


def _tables(chosen: Chosen) -> Sequence[tuple[Table, MessageState]]:
    """Return the tables in the order in which groups keep theirs.

    Those who wait behind their group go first, or each end of a head would bring the next one
    forth; not to another queue, where the head shall be the head.
    """
    if chosen.queue is None:
        return tables.STATES
    return sorted(tables.STATES, key=lambda each: each[0] is tables.aside)


def _states_of(table: Table, state: MessageState) -> frozenset[MessageState]:
    return frozenset({state, MessageState.ARCHIVED} if table is tables.done else {state})


def _places(
    connection: Connection, chosen: Chosen, *, lock: bool = False
) -> Iterator[tuple[Table, MessageState, list[ColumnElement[bool]]]]:
    """Yield each table with chosen messages, their state and what is true of them."""
    for table, state in _tables(chosen):
        asked = chosen.states & _states_of(table, state)
        if not asked:
            continue
        conditions: list[ColumnElement[bool]] = []
        if chosen.ids is not None:
            conditions.append(table.c.id.in_(chosen.ids))
        if chosen.filter is not None:
            since = table.c[_SINCE.get(state, "created_at_ms")]
            conditions += [
                *filters.conditions(connection, table, chosen.filter),
                since <= chosen.as_of_ms,
            ]
        if table is tables.done:
            mark_ms = archived_until_ms(connection, lock=lock)
            is_archived = table.c.acknowledged_at_ms <= mark_ms
            if len(asked) == 1:
                conditions.append(is_archived if MessageState.ARCHIVED in asked else ~is_archived)
        if chosen.queue is not None and chosen.state in {None, state}:
            conditions.append(table.c.queue != chosen.queue)
        yield table, state, conditions
