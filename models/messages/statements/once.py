"""Names under which something was stored: asked for, noted, replaced, forgotten."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, select, text, update

from models.messages import tables
from models.messages.rules import NewMessage, Once
from models.messages.statements.parameters import rows_as_json

# A scope, which is a queue's name or empty, and a key.
Name = tuple[str, str]

# A row that another transaction stores is waited for; one that is there is held. While its array
# is empty it is this transaction's own.
_HOLD: Final = {
    "postgresql": text(
        """
        INSERT INTO message_once (scope, key, message_ids, fingerprint, created_at_ms,
                                  expires_at_ms)
        SELECT name->>0, name->>1, '[]', '', 0, 0
        FROM jsonb_array_elements(CAST(:names AS jsonb)) WITH ORDINALITY AS names (name, turn)
        ORDER BY turn
        ON CONFLICT (scope, key) DO UPDATE SET fingerprint = message_once.fingerprint
        RETURNING scope, key, message_ids, fingerprint, created_at_ms, expires_at_ms
        """
    ),
    "sqlite": text(
        """
        INSERT INTO message_once (scope, key, message_ids, fingerprint, created_at_ms,
                                  expires_at_ms)
        SELECT value->>0, value->>1, '[]', '', 0, 0 FROM json_each(:names) WHERE true
        ON CONFLICT (scope, key) DO UPDATE SET fingerprint = message_once.fingerprint
        RETURNING scope, key, message_ids, fingerprint, created_at_ms, expires_at_ms
        """
    ),
}


@dataclass(frozen=True, slots=True)
class First:
    """What was stored under a name."""

    ids: list[int]
    fingerprint: str
    created_at_ms: int


def hold(connection: Connection, names: Iterable[Name], *, now_ms: int) -> dict[Name, First]:
    """Hold names until the commit and return what stands under those that are in use.

    Each other one is to be given with `note`.
    """
    ordered = sorted(set(names))
    rows = connection.execute(
        _HOLD[connection.dialect.name], {"names": rows_as_json(ordered)}
    ).all()
    return {
        (row.scope, row.key): First(
            msgspec.json.decode(row.message_ids), row.fingerprint, row.created_at_ms
        )
        for row in rows
        if row.expires_at_ms > now_ms
    }


_NOTE: Final = (
    update(tables.once)
    .where(tables.once.c.scope == bindparam("of_scope"), tables.once.c.key == bindparam("of_key"))
    .values(
        message_ids=bindparam("ids"),
        fingerprint=bindparam("print"),
        created_at_ms=bindparam("created_ms"),
        expires_at_ms=bindparam("expires_ms"),
    )
)


def note(
    connection: Connection, firsts: Mapping[Name, tuple[Once, Sequence[int]]], *, now_ms: int
) -> None:
    """Say what stands under held names from now on: ids of messages."""
    if firsts:
        connection.execute(
            _NOTE,
            [
                {
                    "of_scope": scope,
                    "of_key": key,
                    "ids": rows_as_json(ids),
                    "print": once.fingerprint,
                    "created_ms": now_ms,
                    "expires_ms": now_ms + once.keep_ms,
                }
                for (scope, key), (once, ids) in firsts.items()
            ],
        )


def prolong(connection: Connection, name: Name, *, until_ms: int) -> None:
    """Let a held name stand longer."""
    scope, key = name
    connection.execute(
        update(tables.once)
        .where(tables.once.c.scope == scope, tables.once.c.key == key)
        .values(expires_at_ms=until_ms)
    )


def replace(connection: Connection, message_id: int, new: NewMessage, *, now_ms: int) -> bool:
    """Set anew the payload of a message that waits, and its delay; say whether it did wait."""
    for table in (tables.ready, tables.delayed, tables.aside):
        values: dict[str, object] = {"payload": new.payload}
        if table is tables.delayed and new.delay_ms:
            values["due_at_ms"] = now_ms + new.delay_ms
        statement = update(table).where(table.c.id == message_id).values(values)
        if connection.execute(statement).rowcount:
            return True
    return False


_OLD: Final = (
    select(tables.once.c.scope, tables.once.c.key)
    .where(tables.once.c.expires_at_ms <= bindparam("moment_ms"))
    .order_by(tables.once.c.expires_at_ms)
    .limit(bindparam("count"))
    .with_for_update(skip_locked=True)
)
_FORGET: Final = delete(tables.once).where(
    tables.once.c.scope == bindparam("of_scope"), tables.once.c.key == bindparam("of_key")
)


def forget(connection: Connection, *, count: int, now_ms: int) -> int:
    """Delete up to `count` names whose time is over; return how many there were."""
    rows = connection.execute(_OLD, {"moment_ms": now_ms, "count": count}).all()
    if rows:
        connection.execute(_FORGET, [{"of_scope": row.scope, "of_key": row.key} for row in rows])
    return len(rows)
