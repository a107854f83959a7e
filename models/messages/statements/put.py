"""Storing messages in the table of the state they come to. The caller tallies."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Table, insert, text

from models.messages import tables
from models.messages.rules import WaitsFor
from models.messages.statements.parameters import is_sqlite

Row = Mapping[Any, Any]
# So many rows go to PostgreSQL one by one; more as one text, in half the time.
_FEW: Final = 10


def put_ready(connection: Connection, rows: Iterable[Row]) -> None:
    """Let messages wait in line, each at the place of its id."""
    values = [_kept(row) for row in rows]
    store(connection, tables.ready, values)


def put_delayed(connection: Connection, rows: Iterable[tuple[Row, int]]) -> None:
    """Store messages, each with the moment at which it may be delivered."""
    values = [{**_kept(row), "due_at_ms": due_at_ms} for row, due_at_ms in rows]
    store(connection, tables.delayed, values)


def put_aside(connection: Connection, rows: Iterable[Row], waits_for: WaitsFor) -> None:
    """Store messages that wait for something else than a consumer."""
    values = [{**_kept(row), "waits_for": waits_for.value} for row in rows]
    store(connection, tables.aside, values)


def put_dead(connection: Connection, rows: Iterable[Row], *, now_ms: int) -> None:
    """Lay messages by that had their last attempt; what they died of is their last error."""
    values = [{**_kept(row), "reason": row["last_error"], "died_at_ms": now_ms} for row in rows]
    store(connection, tables.dead, values)


def store(connection: Connection, table: Table, values: Sequence[Mapping[str, Any]]) -> None:
    """Insert rows, which all name the same columns."""
    if not values:
        return
    if is_sqlite(connection) or len(values) <= _FEW:
        connection.execute(insert(table), list(values))
    else:
        columns = ", ".join(values[0])
        statement = text(
            f"""
            INSERT INTO {table.name} ({columns}) SELECT {columns}
            FROM jsonb_populate_recordset(CAST(NULL AS {table.name}), CAST(:rows AS jsonb))
            """  # noqa: S608 -- only names of ours are put in
        )
        connection.execute(statement, {"rows": msgspec.json.encode(values).decode()})


def _kept(row: Row) -> dict[str, Any]:
    return {name: row[name] for name in tables.MESSAGE_COLUMNS}
