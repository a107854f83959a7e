"""Every word said to SQL about the pulse; one text for PostgreSQL and SQLite."""

from typing import Final

from sqlalchemy import BigInteger, bindparam, delete, select, text

from models.pulse.tables import minute

ADD: Final = text(
    """
    INSERT INTO pulse_minute (minute_ms, domain, arrived, done, failed)
    VALUES (:minute_ms, :domain, :arrived, :done, :failed)
    ON CONFLICT (minute_ms, domain) DO UPDATE
    SET arrived = pulse_minute.arrived + excluded.arrived,
        done = pulse_minute.done + excluded.done,
        failed = pulse_minute.failed + excluded.failed
    """
)
PUT: Final = text(
    """
    INSERT INTO pulse_minute (minute_ms, domain, arrived, done, failed)
    VALUES (:minute_ms, :domain, :arrived, :done, :failed)
    ON CONFLICT (minute_ms, domain) DO UPDATE
    SET arrived = excluded.arrived, done = excluded.done, failed = excluded.failed
    """
)
SEE: Final = text(
    """
    INSERT INTO pulse_minute (minute_ms, domain, depth, oldest_s, arrived, done, failed)
    VALUES (:minute_ms, :domain, :depth, :oldest_s, 0, 0, 0)
    ON CONFLICT (minute_ms, domain) DO UPDATE
    SET depth = excluded.depth, oldest_s = excluded.oldest_s
    """
)
SINCE: Final = (
    select(minute)
    .where(minute.c.minute_ms >= bindparam("since_ms", type_=BigInteger))
    .order_by(minute.c.minute_ms)
)
DELETE_OLD: Final = delete(minute).where(
    minute.c.domain == bindparam("domain"),
    minute.c.minute_ms < bindparam("before_ms", type_=BigInteger),
)
