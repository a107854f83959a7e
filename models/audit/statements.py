"""Every word said to SQL about the audit log; one text for PostgreSQL and SQLite."""

from typing import Final

from sqlalchemy import BigInteger, bindparam, delete, insert, select

from models.audit.tables import entry

ADD: Final = insert(entry)
DELETE_OLD: Final = delete(entry).where(
    entry.c.id.in_(
        select(entry.c.id)
        .where(entry.c.at_ms < bindparam("before_ms", type_=BigInteger))
        .order_by(entry.c.at_ms)
        .limit(bindparam("count"))
    )
)
PAGE: Final = (
    select(entry)
    .where(entry.c.id < bindparam("before_id", type_=BigInteger))
    .order_by(entry.c.id.desc())
    .limit(bindparam("count"))
)
OF_TARGET: Final = PAGE.where(entry.c.target == bindparam("of_target"))
