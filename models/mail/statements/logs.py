"""The lines of all logs: kept by batches, read by pages, forgotten by age."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from models.mail.log_batches import LogBatch
from models.mail.log_following import Place
from models.mail.log_lines import ATTEMPTS, Event, LogLine
from models.mail.log_views import (
    Aggregations,
    Kept,
    LogFilter,
    LoggedLine,
    LogSortBy,
    LogSource,
)
from models.mail.tables import log, log_place

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_DOMAIN_CHARACTERS_MAX: Final = 255
# So many of the newest lines that a filter finds are told apart by kinds.
AGGREGATED_MAX: Final = 10_000
_TOP: Final = 10
_HOUR_MS: Final = 3_600_000
_ORDERS: Final[dict[LogSortBy, ColumnElement[Any]]] = {
    LogSortBy.TIMESTAMP: log.c.at_ms,
    LogSortBy.MESSAGE_ID: log.c.message_id,
    LogSortBy.EVENT: log.c.event,
    LogSortBy.SENDER: log.c.sender,
    LogSortBy.SIZE: func.coalesce(log.c.size_bytes, 0),
}
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


def page(
    connection: Connection,
    wanted: LogFilter,
    *,
    sort_by: LogSortBy = LogSortBy.TIMESTAMP,
    descending: bool = True,
    offset: int = 0,
    limit: int,
) -> list[LoggedLine]:
    """Return lines that a filter finds, from `offset` on in the given order."""
    columns = (_ORDERS[sort_by], log.c.id)
    order = [each.desc() if descending else each for each in columns]
    statement = select(log).where(*_conditions(wanted)).order_by(*order)
    return [_logged(row) for row in connection.execute(statement.offset(offset).limit(limit))]


def count_found(connection: Connection, wanted: LogFilter) -> int:
    """Return how many lines a filter finds."""
    statement = select(func.count()).select_from(log).where(*_conditions(wanted))
    return int(connection.execute(statement).scalar_one())


def aggregations(connection: Connection, wanted: LogFilter) -> Aggregations:
    """Tell the newest AGGREGATED_MAX lines that a filter finds apart by kinds."""
    newest = (
        select(log.c.event, log.c.at_ms, log.c.sender, log.c.remote)
        .where(*_conditions(wanted))
        .order_by(log.c.at_ms.desc(), log.c.id.desc())
        .limit(AGGREGATED_MAX)
        .subquery()
    )

    def tell(column: ColumnElement[Any], *, count: int | None = None) -> list[tuple[Any, int]]:
        number = func.count()
        statement = select(column, number).select_from(newest).group_by(column)
        if count is not None:
            statement = statement.where(column != "").order_by(number.desc(), column).limit(count)
        return [(name, int(many)) for name, many in connection.execute(statement)]

    hour = newest.c.at_ms - newest.c.at_ms % _HOUR_MS
    return Aggregations(
        events=dict(tell(newest.c.event)),
        hours=dict(tell(hour)),
        senders=tell(newest.c.sender, count=_TOP),
        remotes=tell(newest.c.remote, count=_TOP),
    )


def find(connection: Connection, line_id: int) -> LoggedLine | None:
    """Return the line of a number."""
    row = connection.execute(select(log).where(log.c.id == line_id)).first()
    return None if row is None else _logged(row)


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


def _conditions(wanted: LogFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    wholes = (
        (log.c.message_id, wanted.message_id),
        (log.c.code, wanted.code),
        (log.c.host, wanted.host),
    )
    found += [column == _storable(value) for column, value in wholes if value is not None]
    if wanted.events:
        found.append(log.c.event.in_([_storable(each) for each in wanted.events]))
    parts = (
        (func.lower(log.c.sender), wanted.sender),
        (func.lower(log.c.recipient + "\n" + log.c.recipients), wanted.recipient),
        (func.lower(log.c.remote + "\n" + log.c.address), wanted.remote),
        *((log.c.line_folded, keyword) for keyword in wanted.keywords),
    )
    found += [
        column.contains(_storable(value).casefold(), autoescape=True)
        for column, value in parts
        if value is not None
    ]
    ranges = (
        (log.c.at_ms, wanted.from_ms, wanted.to_ms),
        (log.c.size_bytes, wanted.size_min, wanted.size_max),
    )
    for column, least, most in ranges:
        found += [] if least is None else [column >= least]
        found += [] if most is None else [column <= most]
    if wanted.after_id is not None:
        found.append(log.c.id > wanted.after_id)
    return found


def _storable(text: str) -> str:
    """Return a text as it would be stored: no column holds a NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _logged(row: Row[Any]) -> LoggedLine:
    line = LogLine(
        at_ms=row.at_ms,
        event=Event(row.event),
        message_id=row.message_id,
        sender=row.sender,
        recipient=row.recipient,
        recipients=_decode(row.recipients),
        remote=row.remote,
        address=row.address,
        size_bytes=row.size_bytes,
        code=row.code,
        error=row.error,
        text=row.line,
    )
    return LoggedLine(id=row.id, host=row.host, line=line)


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
