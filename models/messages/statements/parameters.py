"""How rows travel to either database, and the columns that every state shares."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection

from models.messages.tables import MESSAGE_COLUMNS

_encode: Final = msgspec.json.Encoder().encode
COLUMNS: Final = ", ".join(MESSAGE_COLUMNS)
COLUMNS_BUT_ID: Final = ", ".join(MESSAGE_COLUMNS[1:])


def is_sqlite(connection: Connection) -> bool:
    """Say which words to use."""
    return connection.dialect.name == "sqlite"


def rows_as_parameters(
    connection: Connection, rows: Sequence[Sequence[object]], names: Sequence[str]
) -> dict[str, Any]:
    """Return the parameters that carry rows: `rows` as JSON, or an array for each column."""
    if is_sqlite(connection):
        return {"rows": _encode(rows).decode()}
    return {name: list(column) for name, column in zip(names, zip(*rows, strict=True), strict=True)}
