"""The lines of all logs, as a filter finds them: pages, counts, kinds."""

from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, func, select

from models.mail.log_lines import Event, LogLine
from models.mail.log_views import Aggregations, LogFilter, LoggedLine, LogSortBy
from models.mail.tables import log

_decode: Final = msgspec.json.Decoder(tuple[str, ...]).decode
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
