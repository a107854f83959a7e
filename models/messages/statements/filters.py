"""From a filter to conditions on the table of a state. All values travel as parameters."""

from typing import Final

from sqlalchemy import ColumnElement, Connection, FromClause, false, func, literal, or_

from models.messages.filters import MessageFilter, needles_of
from models.messages.statements.parameters import is_sqlite

_ERROR_COLUMNS: Final = ("last_error", "reason")


def conditions(
    connection: Connection, table: FromClause, wanted: MessageFilter
) -> list[ColumnElement[bool]]:
    """Return what the rows of a state's table must fulfil; nothing for a filter that is empty.

    `search` reads the texts of every row that the rest lets through: bound the rows.
    """
    columns = table.c
    found = [
        columns[name] == value
        for name, value in (("queue", wanted.queue), ("group_key", wanted.group_key))
        if value is not None
    ]
    if wanted.type is not None:
        found.append(columns.type == wanted.type if wanted.type else columns.type.is_(None))
    if wanted.ids is not None:
        found.append(columns.id.in_(wanted.ids) if wanted.ids else false())
    if wanted.search is not None:
        found.append(_holds(connection, table, wanted.search))
    return [*found, *_bounds(table, wanted)]


def _bounds(table: FromClause, wanted: MessageFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.created_after_ms is not None:
        found.append(table.c.created_at_ms >= wanted.created_after_ms)
    if wanted.created_before_ms is not None:
        found.append(table.c.created_at_ms < wanted.created_before_ms)
    if wanted.attempts_min is not None:
        found.append(table.c.attempt_count >= wanted.attempts_min)
    return found


def _holds(connection: Connection, table: FromClause, search: str) -> ColumnElement[bool]:
    """Return the condition that a text of the row holds another, whatever signs are in it."""
    # LIKE would need its own signs escaped, and minds case in one of the two databases.
    find = func.instr if is_sqlite(connection) else func.strpos
    texts = [table.c.payload, *(table.c[name] for name in _ERROR_COLUMNS if name in table.c)]
    found = [
        find(func.lower(text if is_sqlite(connection) else text.collate("C")), literal(needle)) > 0
        for text in texts
        for needle in needles_of(search)
    ]
    return or_(false(), *found)
