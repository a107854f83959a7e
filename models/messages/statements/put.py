"""Storing messages in the table of the state they come to. The caller tallies."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, insert

from models.messages import tables
from models.messages.rules import WaitsFor

Row = Mapping[Any, Any]


def put_ready(connection: Connection, rows: Iterable[Row]) -> None:
    """Let messages wait in line, each at the place of its id."""
    values = [_kept(row) for row in rows]
    if values:
        connection.execute(insert(tables.ready), values)


def put_delayed(connection: Connection, rows: Iterable[tuple[Row, int]]) -> None:
    """Store messages, each with the moment at which it may be delivered."""
    values = [{**_kept(row), "due_at_ms": due_at_ms} for row, due_at_ms in rows]
    if values:
        connection.execute(insert(tables.delayed), values)


def put_aside(connection: Connection, rows: Iterable[Row], waits_for: WaitsFor) -> None:
    """Store messages that wait for something else than a consumer."""
    values = [{**_kept(row), "waits_for": waits_for.value} for row in rows]
    if values:
        connection.execute(insert(tables.aside), values)


def put_dead(connection: Connection, rows: Iterable[Row], *, now_ms: int) -> None:
    """Lay messages by that had their last attempt; what they died of is their last error."""
    values = [{**_kept(row), "reason": row["last_error"], "died_at_ms": now_ms} for row in rows]
    if values:
        connection.execute(insert(tables.dead), values)


def _kept(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in tables.MESSAGE_COLUMNS}
