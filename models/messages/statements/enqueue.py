"""Storing new messages."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, text

from models.messages.rules import MessageState, NewMessage, Tally, lane_of
from models.messages.statements.parameters import COLUMNS_BUT_ID, is_sqlite, rows_as_json

# Ids are given in the order of the rows, because the rows are sorted before they are numbered.
_ENQUEUE_POSTGRESQL: Final = text(
    f"""
    INSERT INTO message_ready ({COLUMNS_BUT_ID})
    SELECT new->>0, CAST(new->>1 AS smallint), new->>2, new->>3, 0, CAST(new->>4 AS int),
           CAST(new->>5 AS bigint), :now_ms, NULL, new->>6
    FROM jsonb_array_elements(CAST(:rows AS jsonb)) WITH ORDINALITY AS rows (new, turn)
    ORDER BY turn
    RETURNING id
    """  # noqa: S608 -- only column names of ours are put in
)
_ENQUEUE_SQLITE: Final = text(
    f"""
    INSERT INTO message_ready ({COLUMNS_BUT_ID})
    SELECT value->>0, value->>1, value->>2, value->>3, 0, value->>4, value->>5, :now_ms, NULL,
           value->>6
    FROM json_each(:rows)
    ORDER BY key
    """  # noqa: S608
)


def enqueue(
    connection: Connection,
    messages: Sequence[NewMessage],
    defaults: Mapping[str, tuple[int, int]],
    *,
    now_ms: int,
    tally: Tally,
) -> list[int]:
    """Store messages and return their ids, in order.

    `defaults` has attempts and length of a lease, by queue, for messages that do not say.
    """
    kinds = Counter((new.queue, new.type, new.delay_ms > 0) for new in messages)
    for (queue, type_, is_delayed), count in kinds.items():
        state = MessageState.DELAYED if is_delayed else MessageState.QUEUED
        tally.move(queue, type_, target=state, count=count)
    rows = rows_as_json(
        (
            new.queue,
            lane_of(new.priority),
            new.type,
            new.payload,
            new.max_attempts or defaults[new.queue][0],
            new.lease_ms or defaults[new.queue][1],
            new.group_key,
        )
        for new in messages
    )
    parameters = {"rows": rows, "now_ms": now_ms}
    if not is_sqlite(connection):
        return sorted(connection.execute(_ENQUEUE_POSTGRESQL, parameters).scalars())
    # There is one writer and the column counts up, so the ids of a statement have no gaps.
    last_id = connection.execute(_ENQUEUE_SQLITE, parameters).lastrowid
    return list(range(last_id - len(messages) + 1, last_id + 1))
