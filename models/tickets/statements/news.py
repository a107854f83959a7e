"""What displays are told, kept until it is in their stream."""

from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Row, bindparam, delete, insert, select

from models.tickets.tables import news

_BEHIND: Final = (
    select(news)
    .where(
        news.c.branch_id == bindparam("of_branch", type_=BigInteger),
        news.c.version > bindparam("seen", type_=BigInteger),
        news.c.at_ms >= bindparam("since_ms", type_=BigInteger),
    )
    .order_by(news.c.version)
    .limit(bindparam("count"))
)


_ONE: Final = select(news.c.events).where(
    news.c.branch_id == bindparam("of_branch", type_=BigInteger),
    news.c.version == bindparam("of_version", type_=BigInteger),
)


def events_of(connection: Connection, branch_id: int, version: int) -> str | None:
    """Return the events of one change; None once they are forgotten."""
    found = connection.execute(_ONE, {"of_branch": branch_id, "of_version": version})
    events: str | None = found.scalar_one_or_none()
    return events


def add(connection: Connection, *, branch_id: int, version: int, events: bytes, at_ms: int) -> None:
    """Keep the events of a change, in the transaction of the change."""
    row = {"branch_id": branch_id, "version": version, "events": events.decode(), "at_ms": at_ms}
    connection.execute(insert(news), row)


def behind(
    connection: Connection, branch_id: int, *, seen: int, since_ms: int = 0, count: int
) -> list[Row[Any]]:
    """Return up to `count` rows of a branch behind the version that was seen, in order."""
    values = {"of_branch": branch_id, "seen": seen, "since_ms": since_ms, "count": count}
    return list(connection.execute(_BEHIND, values))


def forget(connection: Connection, branch_id: int, *, seen: int, before_ms: int) -> int:
    """Delete what is in the stream and old; return how many rows."""
    return connection.execute(
        delete(news).where(
            news.c.branch_id == branch_id, news.c.version <= seen, news.c.at_ms < before_ms
        )
    ).rowcount
