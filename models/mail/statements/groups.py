"""What the messages of the index have in common, the largest groups first."""

from collections.abc import Iterable, Iterator
from typing import Any, Final

from sqlalchemy import Column, Connection, func, select

from models.mail.filters import MailFilter
from models.mail.statements.lists import conditions
from models.mail.tables import message
from models.mail.views import Group, GroupBy

_COLUMNS: Final[dict[GroupBy, Column[Any]]] = {
    GroupBy.SENDER: message.c.sender_folded,
    GroupBy.SENDER_DOMAIN: message.c.sender_folded,
    GroupBy.RECIPIENT_DOMAIN: message.c.recipients_folded,
    GroupBy.REASON: message.c.last_error_folded,
    GroupBy.HOST: message.c.host,
}
_OF_DOMAINS: Final = frozenset({GroupBy.SENDER_DOMAIN, GroupBy.RECIPIENT_DOMAIN})


def groups(connection: Connection, wanted: MailFilter, *, by: GroupBy, limit: int) -> list[Group]:
    """Return the largest groups of the messages that a filter finds, at most `limit` of them.

    A message to several domains counts once in each. What has nothing to be grouped by, such as the
    null sender or no error yet, is left out.
    """
    column = _COLUMNS[by]
    messages = func.count().label("messages")
    statement = (
        select(
            column.label("value"),
            messages,
            func.sum(message.c.size_bytes).label("size_bytes"),
            func.min(message.c.received_at_ms).label("oldest_at_ms"),
        )
        .where(*conditions(wanted), column != "")
        .group_by(column)
        .order_by(messages.desc(), column)
    )
    if by not in _OF_DOMAINS:
        return [_group(row) for row in connection.execute(statement.limit(limit))]
    rows = connection.execute(statement.order_by(None))
    found = _by_domain(_group(row) for row in rows)
    return sorted(found, key=lambda each: (-each.messages, each.value))[:limit]


def _by_domain(addressed: Iterable[Group]) -> Iterator[Group]:
    """Put groups of equal addresses, one on each line, together by the domains in them."""
    found: dict[str, list[Group]] = {}
    for each in addressed:
        domains = {line.rpartition("@")[2] for line in each.value.split("\n") if "@" in line}
        for domain in domains:
            found.setdefault(domain, []).append(each)
    for domain, parts in found.items():
        yield Group(
            value=domain,
            messages=sum(each.messages for each in parts),
            size_bytes=sum(each.size_bytes for each in parts),
            oldest_at_ms=min(each.oldest_at_ms for each in parts),
        )


def _group(row: Any) -> Group:
    return Group(
        value=row.value,
        messages=int(row.messages),
        size_bytes=int(row.size_bytes),
        oldest_at_ms=int(row.oldest_at_ms),
    )
