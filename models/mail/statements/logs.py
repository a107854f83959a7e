"""The lines of all logs: kept by batches, counted, forgotten by age."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from models.mail.log_batches import LogBatch
from models.mail.log_following import Place
from models.mail.log_lines import ATTEMPTS, Event, LogLine
from models.mail.log_views import Kept, LogSource
from models.mail.tables import log, log_place

_encode: Final = msgspec.json.Encoder().encode
_DOMAIN_CHARACTERS_MAX: Final = 255
_LOCKED: Final = select(log_place).where(log_place.c.host == bindparam("of_host")).with_for_update()
_ARRIVALS: Final = select(log.c.message_id, log.c.sender, log.c.size_bytes).where(
    log.c.host == bindparam("of_host"),
    log.c.event == Event.ARRIVAL.value,
    log.c.message_id.in_(bindparam("ids", expanding=True)),
)
_ATTEMPTS: Final = tuple(event.value for event in ATTEMPTS)


def lock_place(connection: Connection, host: str, *, now_ms: int) -> Place | None:
    """Return how far a host's log was read; nobody else reads on until the commit."""
    row = connection.execute(_LOCKED, {"of_host": host}).first()
    if row is not None:
        return None if row.file is None else Place(file=row.file, offset=row.offset)
    connection.execute(
        insert(log_place),
        {
            "host": host,
            "file": None,
            "offset": 0,
            "path": "",
            "trouble": "",
            "lines": 0,
            "seen_at_ms": now_ms,
        },
    )
    return None


def note_place(
    connection: Connection, batch: LogBatch, place: Place | None, *, lines: int, now_ms: int
) -> None:
    """Note how far a host's log was read, and that it was heard of."""
    connection.execute(
        update(log_place)
        .where(log_place.c.host == batch.host)
        .values(
            file=None if place is None else place.file,
            offset=0 if place is None else place.offset,
            path=batch.path,
            trouble=batch.trouble,
            lines=log_place.c.lines + lines,
            seen_at_ms=now_ms,
        )
    )


def add(connection: Connection, host: str, lines: Sequence[LogLine]) -> None:
    """Keep lines; what an attempt's line does not tell of its message is that of its arrival."""
    arrivals = _arrivals(connection, host, lines)
    rows = [_row(host, line, arrivals) for line in lines]
    if rows:
        connection.execute(insert(log), rows)


def _arrivals(
    connection: Connection, host: str, lines: Iterable[LogLine]
) -> dict[str, tuple[str, int | None]]:
    told = list(lines)
    ids = {each.message_id for each in told if each.event in ATTEMPTS}
    known: dict[str, tuple[str, int | None]] = {}
    if ids:
        rows = connection.execute(_ARRIVALS, {"of_host": host, "ids": sorted(ids)})
        known = {row.message_id: (row.sender, row.size_bytes) for row in rows}
    for line in told:
        if line.event is Event.ARRIVAL:
            known[line.message_id] = line.sender, line.size_bytes
    return known


def _row(host: str, line: LogLine, arrivals: dict[str, tuple[str, int | None]]) -> dict[str, Any]:
    sender, size_bytes = line.sender, line.size_bytes
    if line.event in ATTEMPTS:
        arrived = arrivals.get(line.message_id, ("", None))
        sender = sender or arrived[0]
        size_bytes = arrived[1] if size_bytes is None else size_bytes
    return {
        "host": host,
        "at_ms": line.at_ms,
        "message_id": line.message_id,
        "event": line.event.value,
        "sender": sender,
        "sender_domain": domain_of(sender),
        "recipient": line.recipient,
        "recipient_domain": domain_of(line.recipient),
        "recipients": _encode(line.recipients).decode(),
        "remote": line.remote,
        "address": line.address,
        "size_bytes": size_bytes,
        "code": line.code,
        "error": line.error,
        "line": line.text,
        "line_folded": line.text.casefold(),
    }


def domain_of(address: str) -> str:
    """Return the domain of an address, in small letters; none for the null sender."""
    _, at, domain = address.rpartition("@")
    return domain.casefold()[:_DOMAIN_CHARACTERS_MAX] if at else ""


def fill_in(connection: Connection, *, from_ms: int, to_ms: int, count: int) -> int:
    """Give attempts that know no sender the one of their arrival; return to how many."""
    arrival = log.alias("arrival")
    rows = connection.execute(
        select(log.c.id, arrival.c.sender, arrival.c.size_bytes)
        .join(arrival, (arrival.c.message_id == log.c.message_id) & (arrival.c.host == log.c.host))
        .where(
            arrival.c.event == Event.ARRIVAL.value,
            log.c.event.in_(_ATTEMPTS),
            log.c.sender == "",
            log.c.at_ms.between(from_ms, to_ms),
        )
        .limit(count)
    ).all()
    for row in rows:
        connection.execute(
            update(log)
            .where(log.c.id == row.id)
            .values(
                sender=row.sender,
                sender_domain=domain_of(row.sender),
                size_bytes=func.coalesce(log.c.size_bytes, row.size_bytes),
            )
        )
    return len(rows)


def forget(connection: Connection, *, before_ms: int, count: int) -> int:
    """Delete at most `count` lines that are older than a moment; return how many."""
    old = select(log.c.id).where(log.c.at_ms < before_ms).order_by(log.c.at_ms).limit(count)
    return connection.execute(delete(log).where(log.c.id.in_(old))).rowcount


def forget_first(connection: Connection, *, count: int) -> int:
    """Delete the `count` oldest lines; return how many there were."""
    old = select(log.c.id).order_by(log.c.at_ms, log.c.id).limit(count)
    return connection.execute(delete(log).where(log.c.id.in_(old))).rowcount


def sources(connection: Connection) -> list[LogSource]:
    """Return how each host's log is read, by the hosts' names."""
    rows = connection.execute(select(log_place).order_by(log_place.c.host))
    return [
        LogSource(
            host=row.host,
            path=row.path,
            trouble=row.trouble,
            lines=row.lines,
            seen_at_ms=row.seen_at_ms,
        )
        for row in rows
    ]


def kept(connection: Connection) -> Kept:
    """Return how many lines are kept, and from when to when."""
    row = connection.execute(
        select(func.count(), func.min(log.c.at_ms), func.max(log.c.at_ms)).select_from(log)
    ).one()
    return Kept(lines=int(row[0]), oldest_at_ms=row[1], newest_at_ms=row[2])


def count_events(connection: Connection, *, from_ms: int, to_ms: int) -> dict[str, int]:
    """Return how many lines there are of each kind, between two moments."""
    rows = connection.execute(
        select(log.c.event, func.count())
        .where(log.c.at_ms.between(from_ms, to_ms))
        .group_by(log.c.event)
    )
    return {event: int(count) for event, count in rows}


def knows(connection: Connection, message_id: str) -> bool:
    """Say whether a log that is kept names a message."""
    statement = select(log.c.id).where(log.c.message_id == message_id).limit(1)
    return connection.execute(statement).first() is not None
