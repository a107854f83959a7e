"""Every word said to SQL about the audit log; one text for PostgreSQL and SQLite."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BigInteger, Select, bindparam, delete, insert, select

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


def page_of(names: Iterable[str]) -> Select[Any]:
    """Return a page of the entries whose columns of these names are as bound: `of_<name>`."""
    return PAGE.where(*(entry.c[name] == bindparam(f"of_{name}") for name in names))


def within(page: Select[Any]) -> Select[Any]:
    """Return a page of entries from `since_ms` on, and from before `until_ms`."""
    return page.where(
        entry.c.at_ms >= bindparam("since_ms", type_=BigInteger),
        entry.c.at_ms < bindparam("until_ms", type_=BigInteger),
    )
