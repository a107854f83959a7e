"""Storing new messages."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection, text

from models.messages.rules import MessageState, NewMessage, Tally, lane_of
from models.messages.statements.parameters import COLUMNS_BUT_ID, rows_as_parameters

_NEW_COLUMNS: Final = ("queue", "lane", "type", "payload", "max_attempts", "lease_ms")
# Ids are given in the order of the rows, because the rows are sorted before they are numbered.
_ENQUEUE: Final = {
    "postgresql": text(
        f"""
        INSERT INTO message_ready ({COLUMNS_BUT_ID})
        SELECT queue, lane, type, payload, 0, max_attempts, lease_ms, :now_ms, NULL
        FROM unnest(CAST(:queue AS text[]), CAST(:lane AS smallint[]), CAST(:type AS text[]),
                    CAST(:payload AS text[]), CAST(:max_attempts AS int[]),
                    CAST(:lease_ms AS bigint[]))
             WITH ORDINALITY AS new (queue, lane, type, payload, max_attempts, lease_ms, turn)
        ORDER BY turn
        RETURNING id
        """  # noqa: S608 -- only column names of ours are put in
    ),
    "sqlite": text(
        f"""
        INSERT INTO message_ready ({COLUMNS_BUT_ID})
        SELECT value->>0, value->>1, value->>2, value->>3, 0, value->>4, value->>5, :now_ms, NULL
        FROM json_each(:rows)
        ORDER BY key
        RETURNING id
        """  # noqa: S608
    ),
}


def enqueue(
    connection: Connection, messages: Sequence[NewMessage], *, now_ms: int, tally: Tally
) -> list[int]:
    """Store messages and return their ids, in order."""
    for new in messages:
        tally.move(new.queue, new.type, target=MessageState.QUEUED)
    rows = [
        (new.queue, lane_of(new.priority), new.type, new.payload, new.max_attempts, new.lease_ms)
        for new in messages
    ]
    parameters = rows_as_parameters(connection, rows, _NEW_COLUMNS)
    result = connection.execute(_ENQUEUE[connection.dialect.name], {**parameters, "now_ms": now_ms})
    return sorted(result.scalars())
