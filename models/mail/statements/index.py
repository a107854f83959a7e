"""The index of all spools, kept by batches from their watchers."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import BigInteger, Connection, bindparam, delete, func, insert, select, update

from models.mail.rules import Batch, Mail
from models.mail.tables import KEY_CHARACTERS_MAX, count, host, message, retry

_encode: Final = msgspec.json.Encoder().encode

_OF_HOST: Final = select(host.c.generation, host.c.number).where(
    host.c.name == bindparam("of_host")
)
_LOCKED: Final = _OF_HOST.with_for_update()
_NOTE: Final = (
    update(host)
    .where(host.c.name == bindparam("of_host"))
    .values(
        generation=bindparam("new_generation", type_=BigInteger),
        number=bindparam("new_number", type_=BigInteger),
        is_whole=bindparam("new_whole"),
        seen_at_ms=bindparam("moment_ms", type_=BigInteger),
    )
)
_SEEN: Final = (
    update(host)
    .where(host.c.name == bindparam("of_host"))
    .values(seen_at_ms=bindparam("moment_ms", type_=BigInteger))
)
_THESE: Final = (message.c.host == bindparam("of_host")) & message.c.message_id.in_(
    bindparam("ids", expanding=True)
)
_COUNTED: Final = select(
    message.c.status, func.count(), func.coalesce(func.sum(message.c.size_bytes), 0)
).group_by(message.c.status)
_COUNT_THESE: Final = _COUNTED.where(_THESE)
_COUNT_ALL: Final = _COUNTED.where(message.c.host == bindparam("of_host"))
_DELETE_THESE: Final = delete(message).where(_THESE)
_DELETE_OLD: Final = delete(message).where(
    message.c.host == bindparam("of_host"),
    message.c.generation < bindparam("of_generation", type_=BigInteger),
)
_COUNTS: Final = select(count.c.status, count.c.messages, count.c.size_bytes).where(
    count.c.host == bindparam("of_host")
)
_DELETE_COUNTS: Final = delete(count).where(count.c.host == bindparam("of_host"))

# By status: how many messages, and of how many bytes.
Counts = dict[str, tuple[int, int]]


def lock_host(connection: Connection, name: str, *, now_ms: int) -> tuple[int, int]:
    """Return the generation and number that are applied; nobody else applies until the commit."""
    row = connection.execute(_LOCKED, {"of_host": name}).first()
    if row is not None:
        return row.generation, row.number
    connection.execute(
        insert(host),
        {
            "name": name,
            "generation": 0,
            "number": 0,
            "is_whole": False,
            "seen_at_ms": now_ms,
            "first_seen_at_ms": now_ms,
        },
    )
    return 0, 0


def note_host(connection: Connection, batch: Batch, *, is_whole: bool, now_ms: int) -> None:
    """Note that a batch is applied, and that its host lives."""
    connection.execute(
        _NOTE,
        {
            "of_host": batch.host,
            "new_generation": batch.generation,
            "new_number": batch.number,
            "new_whole": is_whole,
            "moment_ms": now_ms,
        },
    )


def note_life(connection: Connection, name: str, *, now_ms: int) -> None:
    """Note that a host lives."""
    connection.execute(_SEEN, {"of_host": name, "moment_ms": now_ms})


def seen_at(connection: Connection, name: str) -> int | None:
    """Return when a host was last heard of, None: it never was; nobody applies until the commit."""
    statement = select(host.c.seen_at_ms).where(host.c.name == name).with_for_update()
    found: int | None = connection.execute(statement).scalar()
    return found


def forget_host(connection: Connection, name: str) -> None:
    """Delete what the index has of a host, under its lock."""
    for table in (message, count, retry):
        connection.execute(delete(table).where(table.c.host == name))
    connection.execute(delete(host).where(host.c.name == name))


def close_generation(
    connection: Connection, name: str, *, generation: int, seen_at_ms: int
) -> None:
    """Apply no more batches of a generation, and let its host have been silent since a moment."""
    connection.execute(
        update(host)
        .where(host.c.name == name, host.c.generation == generation)
        .values(generation=generation + 1, number=0, seen_at_ms=seen_at_ms)
    )


def is_whole(connection: Connection, name: str) -> bool:
    """Say whether the watcher of a host has told everything."""
    statement = select(host.c.is_whole).where(host.c.name == name)
    return bool(connection.execute(statement).scalar())


def host_names(connection: Connection) -> list[str]:
    """Return the names of all hosts."""
    return list(connection.execute(select(host.c.name).order_by(host.c.name)).scalars())


def counts_of(connection: Connection, name: str, message_ids: Sequence[str]) -> Counts:
    """Return what some messages of a host count for."""
    if not message_ids:
        return {}
    rows = connection.execute(_COUNT_THESE, {"of_host": name, "ids": list(message_ids)})
    return {status: (messages, int(size)) for status, messages, size in rows}


def counts_of_all(connection: Connection, name: str) -> Counts:
    """Count all messages of a host."""
    rows = connection.execute(_COUNT_ALL, {"of_host": name})
    return {status: (messages, int(size)) for status, messages, size in rows}


def kept_counts(connection: Connection, name: str) -> Counts:
    """Return the counts of a host as they are kept."""
    rows = connection.execute(_COUNTS, {"of_host": name})
    return {row.status: (row.messages, row.size_bytes) for row in rows}


def keep_counts(connection: Connection, name: str, counts: Counts) -> None:
    """Keep the counts of a host, under its lock."""
    connection.execute(_DELETE_COUNTS, {"of_host": name})
    rows = [
        {"host": name, "status": status, "messages": messages, "size_bytes": size}
        for status, (messages, size) in counts.items()
        if messages
    ]
    if rows:
        connection.execute(insert(count), rows)


def remove(connection: Connection, name: str, message_ids: Sequence[str]) -> None:
    """Delete messages of a host from the index."""
    if message_ids:
        connection.execute(_DELETE_THESE, {"of_host": name, "ids": list(message_ids)})


def remove_old(connection: Connection, name: str, *, generation: int) -> int:
    """Delete what only earlier watchers told; return how many that were."""
    bounds = {"of_host": name, "of_generation": generation}
    return connection.execute(_DELETE_OLD, bounds).rowcount


def add(connection: Connection, name: str, mails: Iterable[Mail], *, generation: int) -> None:
    """Put messages of a host in, which are not there."""
    rows = [{"host": name, "generation": generation, **_row(mail)} for mail in mails]
    if rows:
        connection.execute(insert(message), rows)


def _row(mail: Mail) -> dict[str, Any]:
    sender = mail.sender.casefold()
    recipients = "\n".join(mail.recipients).casefold()
    return {
        "message_id": mail.message_id,
        "queue": mail.queue,
        "received_at_ms": mail.received_at_ms,
        "sender": mail.sender,
        "sender_folded": sender,
        "sender_key": sender[:KEY_CHARACTERS_MAX],
        "recipients": _encode(mail.recipients).decode(),
        "recipients_folded": recipients,
        "recipient_key": recipients[:KEY_CHARACTERS_MAX],
        "delivered": _encode(mail.delivered).decode(),
        "size_bytes": mail.size_bytes,
        "status": mail.status.value,
        "frozen_at_ms": mail.frozen_at_ms,
        "is_delivering": mail.is_delivering,
        "subject": mail.subject,
        "subject_folded": mail.subject.casefold(),
        "source": mail.host,
        "source_folded": mail.host.casefold(),
        "user": mail.user,
        "protocol": mail.protocol,
        "attempts": mail.attempts,
        "last_attempt_at_ms": mail.last_attempt_at_ms,
        "last_error": mail.last_error,
        "last_error_folded": mail.last_error.casefold(),
    }
