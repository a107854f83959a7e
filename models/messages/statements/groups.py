"""Messages of one group go one after the other: its head can be delivered, the rest wait behind.

A group is a row while it has messages. Whoever changes its head holds the row until the commit;
rows are locked in one order for all, so no two deadlock.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Table, bindparam, delete, select, text, tuple_, update

from models.messages import tables
from models.messages.rules import WaitsFor
from models.messages.statements.parameters import rows_as_json
from models.messages.statements.put import put_aside, put_ready

# A message with its group: queue, key and id.
Member = tuple[str, str, int]
# Where a message may be the head of its group.
_WITH_HEADS: Final = frozenset({tables.aside, tables.delayed, tables.ready, tables.leased})

_ENTER: Final = {
    "postgresql": text(
        """
        INSERT INTO message_group (queue, group_key, holder_id)
        SELECT entry->>0, entry->>1, CAST(entry->>2 AS bigint)
        FROM jsonb_array_elements(CAST(:heads AS jsonb)) WITH ORDINALITY AS heads (entry, turn)
        ORDER BY turn
        ON CONFLICT (queue, group_key) DO UPDATE SET holder_id = message_group.holder_id
        RETURNING queue, group_key, holder_id
        """
    ),
    "sqlite": text(
        """
        INSERT INTO message_group (queue, group_key, holder_id)
        SELECT value->>0, value->>1, value->>2 FROM json_each(:heads) WHERE true
        ON CONFLICT (queue, group_key) DO UPDATE SET holder_id = message_group.holder_id
        RETURNING queue, group_key, holder_id
        """
    ),
}


def enter(connection: Connection, members: Iterable[Member]) -> list[int]:
    """Let messages join their groups and return the ids of those that wait behind another.

    A group that has no messages is led by the first of its ids.
    """
    members = sorted(members)
    heads: dict[tuple[str, str], int] = {}
    for queue, key, message_id in members:
        heads.setdefault((queue, key), message_id)
    if not heads:
        return []
    rows = connection.execute(
        _ENTER[connection.dialect.name],
        {"heads": rows_as_json((*group, message_id) for group, message_id in heads.items())},
    )
    holders = {(row.queue, row.group_key): row.holder_id for row in rows}
    return [message_id for queue, key, message_id in members if holders[queue, key] != message_id]


def hold(connection: Connection, members: Iterable[Member]) -> None:
    """Lock groups until the commit, those to leave and those to join, all in one order.

    A group that has no messages is made, led by the first of its ids.
    """
    enter(connection, members)


def hold_back(connection: Connection, ids: Sequence[int]) -> None:
    """Take messages that this transaction stored out of their line, to wait behind their group."""
    if not ids:
        return
    statement = delete(tables.ready).where(tables.ready.c.id.in_(ids)).returning(tables.ready)
    put_aside(connection, connection.execute(statement).mappings().all(), WaitsFor.GROUP)


def advance(connection: Connection, left: Iterable[Member]) -> list[Mapping[Any, Any]]:
    """Let the next message of each group into its line whose head is one of those that `left`.

    Returns the rows of those messages. One that waited behind its group leaves without a word: it
    was no head, and who took it may not wait for the group.
    """
    ids = {message_id for _, _, message_id in left}
    groups = _lock(connection, {(queue, key) for queue, key, _ in left}, ids)
    advanced: list[Mapping[Any, Any]] = []
    while groups:
        nexts = _nexts(connection, groups)
        _remove(connection, groups - nexts.keys())
        taken = _take(connection, nexts.values())
        found = {(row["queue"], row["group_key"]): row for row in taken}
        _set_heads(connection, {group: row["id"] for group, row in found.items()})
        advanced += taken
        groups = nexts.keys() - found.keys()  # somebody deleted the next one just now
    put_ready(connection, advanced)
    return advanced


def leave(
    connection: Connection, table: Table, rows: Iterable[Mapping[Any, Any]]
) -> list[Mapping[Any, Any]]:
    """Let the groups go on whose messages were deleted from a table or moved elsewhere.

    Returns the rows of the messages that are next in their groups. To be called for messages in
    any state: dead and done ones are of no group any more, and those behind lead none.
    """
    return advance(connection, heads_of(table, rows))


def heads_of(table: Table, rows: Iterable[Mapping[Any, Any]]) -> list[Member]:
    """Return those messages of a table that may be the heads of their groups."""
    if table not in _WITH_HEADS:
        return []
    return members_of(row for row in rows if row.get("waits_for") != WaitsFor.GROUP)


def members_of(rows: Iterable[Mapping[Any, Any]]) -> list[Member]:
    """Return those of some messages that are of a group."""
    return [
        (row["queue"], row["group_key"], row["id"]) for row in rows if row["group_key"] is not None
    ]


_GROUP: Final = (tables.group.c.queue, tables.group.c.group_key)
_HEAD_AT: Final = (tables.group.c.queue == bindparam("of_queue")) & (
    tables.group.c.group_key == bindparam("of_key")
)
_SET_HEAD: Final = update(tables.group).where(_HEAD_AT).values(holder_id=bindparam("new_id"))
_REMOVE: Final = delete(tables.group).where(_HEAD_AT)


def _lock(
    connection: Connection, groups: set[tuple[str, str]], ids: set[int]
) -> set[tuple[str, str]]:
    """Lock groups and return those that are led by one of `ids`."""
    if not groups:
        return set()
    order = _GROUP
    if connection.dialect.name == "postgresql":  # the order in which `enter` takes them
        order = tuple(column.collate("C") for column in _GROUP)  # type: ignore[assignment]
    statement = (
        select(tables.group)
        .where(tuple_(*_GROUP).in_(sorted(groups)))
        .order_by(*order)
        .with_for_update()
    )
    return {
        (row.queue, row.group_key) for row in connection.execute(statement) if row.holder_id in ids
    }


_NEXT: Final = (
    select(tables.aside.c.id)
    .where(
        tables.aside.c.waits_for == WaitsFor.GROUP.value,
        tables.aside.c.queue == tables.group.c.queue,
        tables.aside.c.group_key == tables.group.c.group_key,
    )
    .order_by(tables.aside.c.id)
    .limit(1)
    .scalar_subquery()
)


def _nexts(connection: Connection, groups: set[tuple[str, str]]) -> dict[tuple[str, str], int]:
    statement = select(*_GROUP, _NEXT.label("next_id")).where(tuple_(*_GROUP).in_(sorted(groups)))
    return {
        (row.queue, row.group_key): row.next_id
        for row in connection.execute(statement)
        if row.next_id is not None
    }


def _take(connection: Connection, ids: Iterable[int]) -> list[Mapping[Any, Any]]:
    statement = delete(tables.aside).where(tables.aside.c.id.in_(sorted(ids)))
    return list(connection.execute(statement.returning(tables.aside)).mappings())


def _set_heads(connection: Connection, heads: Mapping[tuple[str, str], int]) -> None:
    if heads:
        connection.execute(
            _SET_HEAD,
            [
                {"of_queue": queue, "of_key": key, "new_id": message_id}
                for (queue, key), message_id in heads.items()
            ],
        )


def _remove(connection: Connection, groups: Iterable[tuple[str, str]]) -> None:
    gone = [{"of_queue": queue, "of_key": key} for queue, key in groups]
    if gone:
        connection.execute(_REMOVE, gone)
