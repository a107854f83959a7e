"""How rows travel to either database, and the columns that every state shares."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from sqlalchemy import Connection

from models.messages.tables import MESSAGE_COLUMNS

_encode: Final = msgspec.json.Encoder().encode
COLUMNS: Final = ", ".join(MESSAGE_COLUMNS)
COLUMNS_BUT_ID: Final = ", ".join(MESSAGE_COLUMNS[1:])


def is_sqlite(connection: Connection) -> bool:
    """Say which words to use."""
    return connection.dialect.name == "sqlite"


def rows_as_json(rows: Iterable[Sequence[object] | int]) -> str:
    """Return the parameter that carries rows, an array for each.

    Arrays of PostgreSQL's own would be written element by element in Python, ten times slower.
    """
    return _encode(list(rows)).decode()
