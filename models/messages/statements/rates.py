"""How much of each rate is spent, the turns of those who wait for one, and the end of pauses."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, insert, or_, select, text, update

from models.messages import tables
from models.messages.policies import QueueSettings
from models.messages.rules import WaitsFor
from models.messages.statements.parameters import rows_as_json
from models.messages.statements.put import put_aside, put_ready

# Of one queue: its kind, which is "queue", "type" or "key", and the name of that.
Bucket = tuple[str, str]

_HOLD: Final = {
    "postgresql": text(
        """
        INSERT INTO message_rate (queue, kind, name, spent_until_us)
        SELECT :queue, bucket->>0, bucket->>1, 0
        FROM jsonb_array_elements(CAST(:buckets AS jsonb)) WITH ORDINALITY AS buckets (bucket, turn)
        ORDER BY turn
        ON CONFLICT (queue, kind, name) DO UPDATE SET spent_until_us = message_rate.spent_until_us
        RETURNING kind, name, spent_until_us
        """
    ),
    "sqlite": text(
        """
        INSERT INTO message_rate (queue, kind, name, spent_until_us)
        SELECT :queue, value->>0, value->>1, 0 FROM json_each(:buckets) WHERE true
        ON CONFLICT (queue, kind, name) DO UPDATE SET spent_until_us = message_rate.spent_until_us
        RETURNING kind, name, spent_until_us
        """
    ),
}
_SPEND: Final = (
    update(tables.rate)
    .where(
        tables.rate.c.queue == bindparam("of_queue"),
        tables.rate.c.kind == bindparam("of_kind"),
        tables.rate.c.name == bindparam("of_name"),
    )
    .values(spent_until_us=bindparam("until_us"))
)


def hold_rates(
    connection: Connection, queue: str, buckets: Collection[Bucket]
) -> dict[Bucket, int]:
    """Return until when rates of a queue are spent, and keep others from them until the commit."""
    if not buckets:
        return {}
    rows = connection.execute(
        _HOLD[connection.dialect.name], {"queue": queue, "buckets": rows_as_json(sorted(buckets))}
    )
    return {(row.kind, row.name): row.spent_until_us for row in rows}


def spend(connection: Connection, queue: str, spent_us: Mapping[Bucket, int]) -> None:
    """Store until when held rates are spent."""
    if spent_us:
        connection.execute(
            _SPEND,
            [
                {"of_queue": queue, "of_kind": kind, "of_name": name, "until_us": until_us}
                for (kind, name), until_us in spent_us.items()
            ],
        )


def give_turns(connection: Connection, turns: Mapping[int, int]) -> None:
    """Note when it is the turn of messages, by id: in Unix milliseconds."""
    if turns:
        rows = [{"id": message_id, "turn_at_ms": at_ms} for message_id, at_ms in turns.items()]
        connection.execute(insert(tables.turn), rows)


def take_turns(connection: Connection, ids: Sequence[int]) -> dict[int, int]:
    """Remove and return the turns of messages that have one."""
    statement = delete(tables.turn).where(tables.turn.c.id.in_(ids)).returning(tables.turn)
    return {row.id: row.turn_at_ms for row in connection.execute(statement)}


_TURN_OF_LINE: Final = (
    select(tables.turn.c.id)
    .join(tables.ready, tables.ready.c.id == tables.turn.c.id)
    .where(
        tables.turn.c.turn_at_ms > bindparam("since_ms"),
        tables.turn.c.turn_at_ms <= bindparam("until_ms"),
        tables.ready.c.queue == bindparam("of_queue"),
    )
    .limit(1)
)
_TURN_OF_TYPE: Final = _TURN_OF_LINE.where(tables.ready.c.type == bindparam("of_type"))


def has_turns(
    connection: Connection, queue: str, type_: str | None, *, since_ms: int, until_ms: int
) -> bool:
    """Say whether a message of a line waits for a consumer whose turn came after `since_ms`."""
    statement = _TURN_OF_LINE if type_ is None else _TURN_OF_TYPE
    values = {"of_queue": queue, "since_ms": since_ms, "until_ms": until_ms}
    if type_ is not None:
        values["of_type"] = type_
    return connection.execute(statement, values).first() is not None


def forget(connection: Connection, *, count: int, now_ms: int, turns_before_ms: int) -> int:
    """Delete up to `count` rates that are not spent any more, and as many turns that are long over.

    Returns the larger of both numbers.
    """
    unspent = (
        select(tables.rate)
        .where(tables.rate.c.spent_until_us < now_ms * 1000)
        .limit(count)
        .with_for_update(skip_locked=True)
    )
    rows = connection.execute(unspent).all()
    if rows:
        connection.execute(
            delete(tables.rate).where(
                tables.rate.c.queue == bindparam("of_queue"),
                tables.rate.c.kind == bindparam("of_kind"),
                tables.rate.c.name == bindparam("of_name"),
            ),
            [{"of_queue": row.queue, "of_kind": row.kind, "of_name": row.name} for row in rows],
        )
    old = select(tables.turn.c.id).where(tables.turn.c.turn_at_ms < turns_before_ms).limit(count)
    over = connection.execute(delete(tables.turn).where(tables.turn.c.id.in_(old))).rowcount
    return max(len(rows), over)


def set_aside(connection: Connection, queue: str, settings: QueueSettings, *, count: int) -> int:
    """Take up to `count` messages of paused types out of their lines; return how many there were.

    Those of paused groups are few, a head of each, and are found when a consumer would get them.
    """
    table = tables.ready
    ids = (
        select(table.c.id)
        .where(table.c.queue == queue, table.c.type.in_(settings.paused_types))
        .limit(count)
        .with_for_update(skip_locked=True)
    )
    statement = delete(table).where(table.c.id.in_(ids.scalar_subquery())).returning(table)
    rows = connection.execute(statement).mappings().all()
    put_aside(connection, rows, WaitsFor.PAUSE)
    return len(rows)


def release(
    connection: Connection, queue: str, settings: QueueSettings, *, count: int
) -> Sequence[Mapping[Any, Any]]:
    """Let up to `count` messages into their lines that no pause holds any more; return them."""
    table = tables.aside
    paused = or_(
        table.c.type.in_(settings.paused_types).is_(True),
        table.c.group_key.in_(settings.paused_keys).is_(True),
    )
    ids = (
        select(table.c.id)
        .where(table.c.waits_for == WaitsFor.PAUSE.value, table.c.queue == queue, ~paused)
        .limit(count)
    )
    statement = delete(table).where(table.c.id.in_(ids.scalar_subquery())).returning(table)
    rows = connection.execute(statement).mappings().all()
    put_ready(connection, rows)
    return rows
