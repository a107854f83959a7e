"""What the hosts had, minute by minute."""

from sqlalchemy import Connection, delete, func, insert, select

from models.mail.tables import sample
from models.mail.views import Sample, Totals


def add(connection: Connection, host: str, totals: Totals, *, now_ms: int) -> None:
    """Note what a host has; a second note of one moment and host raises IntegrityError."""
    connection.execute(
        insert(sample),
        {
            "at_ms": now_ms,
            "host": host,
            "messages": totals.messages,
            "deferred": totals.by_status.get("deferred", 0),
            "frozen": totals.by_status.get("frozen", 0),
            "size_bytes": totals.size_bytes,
            "oldest_at_ms": totals.oldest_at_ms,
        },
    )


def forget(connection: Connection, *, before_ms: int) -> None:
    """Delete what is older than a moment."""
    connection.execute(delete(sample).where(sample.c.at_ms < before_ms))


def since(connection: Connection, *, from_ms: int) -> list[Sample]:
    """Return what all hosts had together, from a moment on, the oldest first."""
    statement = (
        select(
            sample.c.at_ms,
            func.sum(sample.c.messages).label("messages"),
            func.sum(sample.c.deferred).label("deferred"),
            func.sum(sample.c.frozen).label("frozen"),
            func.sum(sample.c.size_bytes).label("size_bytes"),
            func.min(sample.c.oldest_at_ms).label("oldest_at_ms"),
        )
        .where(sample.c.at_ms >= from_ms)
        .group_by(sample.c.at_ms)
        .order_by(sample.c.at_ms)
    )
    return [
        Sample(
            at_ms=row.at_ms,
            messages=int(row.messages),
            deferred=int(row.deferred),
            frozen=int(row.frozen),
            size_bytes=int(row.size_bytes),
            oldest_at_ms=row.oldest_at_ms,
        )
        for row in connection.execute(statement)
    ]
