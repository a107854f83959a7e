"""Questions about the index: pages of it, single messages, what it holds in all."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, bindparam, func, select, tuple_

from models.mail.filters import MailFilter, SortBy
from models.mail.rules import Mail, Status
from models.mail.statements.parts import holds
from models.mail.tables import count, host, message
from models.mail.views import Host, HostedMail, Spot, Totals

_decode: Final = msgspec.json.Decoder(tuple[str, ...]).decode
_ORDERS: Final[dict[SortBy, tuple[ColumnElement[Any], ...]]] = {
    SortBy.ID: (message.c.message_id, message.c.host),
    SortBy.SENDER: (message.c.sender_key, message.c.message_id, message.c.host),
    SortBy.RECIPIENT: (message.c.recipient_key, message.c.message_id, message.c.host),
    SortBy.SIZE: (message.c.size_bytes, message.c.message_id, message.c.host),
    SortBy.STATUS: (
        *(message.c.status, message.c.received_at_ms, message.c.message_id, message.c.host),
    ),
    SortBy.TIMESTAMP: (message.c.received_at_ms, message.c.message_id, message.c.host),
}
_KEY: Final = (message.c.host, message.c.message_id)
# So many are looked up one by one; one in two hundred of 100,000 fills a page soon.
_FEW: Final = 500
_OF_IDS: Final = select(message).where(message.c.message_id.in_(bindparam("ids", expanding=True)))
_HOSTS: Final = (
    select(host, func.coalesce(func.sum(count.c.messages), 0).label("messages"))
    .select_from(host.outerjoin(count, count.c.host == host.c.name))
    .group_by(*host.columns)
    .order_by(host.c.name)
)


def page(
    connection: Connection,
    wanted: MailFilter,
    *,
    sort_by: SortBy,
    descending: bool,
    offset: int,
    limit: int,
) -> tuple[list[HostedMail], int]:
    """Return messages that a filter finds, from `offset` on in that order, and how many it finds.

    A few are looked up by what holds the texts alone, a tenth of the table, and put in order then.
    Of many a page is soon full when the table is read in their order.
    """
    order = [each.desc() if descending else each for each in _ORDERS[sort_by]]
    found = conditions(wanted)
    if wanted.has_texts:
        keys = connection.execute(select(*_KEY).where(*found).limit(_FEW + 1)).all()
        if not keys:
            return [], 0
        if len(keys) <= _FEW:
            these = select(message).where(tuple_(*_KEY).in_([tuple(key) for key in keys]))
            rows = connection.execute(these.order_by(*order).offset(offset).limit(limit))
            return [_hosted(row) for row in rows], len(keys)
    statement = select(message).where(*found).order_by(*order)
    rows = connection.execute(statement.offset(offset).limit(limit))
    return [_hosted(row) for row in rows], count_found(connection, wanted)


def count_found(connection: Connection, wanted: MailFilter) -> int:
    """Return how many messages a filter finds."""
    if wanted.is_counted:
        kept = select(func.coalesce(func.sum(count.c.messages), 0)).where(*_kept(wanted))
        return int(connection.execute(kept).scalar_one())
    statement = select(func.count()).select_from(message).where(*conditions(wanted))
    return int(connection.execute(statement).scalar_one())


def spots(connection: Connection, wanted: MailFilter, *, limit: int) -> list[Spot]:
    """Return where the messages are that a filter finds, the oldest first."""
    statement = (
        select(message.c.host, message.c.queue, message.c.message_id)
        .where(*conditions(wanted))
        .order_by(*_ORDERS[SortBy.TIMESTAMP])
        .limit(limit)
    )
    return [Spot(*row) for row in connection.execute(statement)]


def totals(connection: Connection, *, of_host: str | None = None) -> Totals:
    """Return what all queues hold, or those of one host, by the kept counts."""
    statement = select(
        count.c.status, func.sum(count.c.messages), func.sum(count.c.size_bytes)
    ).group_by(count.c.status)
    oldest = select(func.min(message.c.received_at_ms))
    if of_host is not None:
        statement = statement.where(count.c.host == of_host)
        oldest = oldest.where(message.c.host == of_host)
    rows = connection.execute(statement).all()
    return Totals(
        by_status={status: int(messages) for status, messages, _ in rows},
        size_bytes=sum(int(size) for _, _, size in rows),
        oldest_at_ms=connection.execute(oldest).scalar(),
    )


def find(connection: Connection, message_ids: Sequence[str]) -> list[HostedMail]:
    """Return the messages of these ids, on whatever host."""
    rows = connection.execute(_OF_IDS, {"ids": list(message_ids)})
    return [_hosted(row) for row in rows]


def hosts(connection: Connection) -> list[Host]:
    """Return all hosts by name."""
    return [
        Host(
            name=row.name,
            seen_at_ms=row.seen_at_ms,
            is_whole=row.is_whole,
            messages=int(row.messages),
        )
        for row in connection.execute(_HOSTS)
    ]


def size_groups(connection: Connection, bounds: Iterable[int]) -> list[int]:
    """Return how many messages are smaller than each bound, and not than the one before."""
    below = [
        func.count().filter(message.c.size_bytes < bound).label(f"below_{bound}")
        for bound in bounds
    ]
    row = connection.execute(select(*below).select_from(message)).one()
    return [int(each) - int(before) for each, before in zip(row, [0, *row], strict=False)]


def _kept(wanted: MailFilter) -> list[ColumnElement[bool]]:
    pairs = ((count.c.host, wanted.host), (count.c.status, wanted.status))
    return [column == _storable(value) for column, value in pairs if value is not None]


def conditions(wanted: MailFilter) -> list[ColumnElement[bool]]:
    """Return what a row of the index fulfils if a filter finds it."""
    parts = (
        (message.c.sender_folded, wanted.sender),
        (message.c.recipients_folded, wanted.recipient),
        (message.c.subject_folded, wanted.subject),
        (message.c.last_error_folded, wanted.reason),
        (message.c.source_folded, wanted.source),
        (func.lower(message.c.message_id), wanted.message_id),
    )
    found: list[ColumnElement[bool]] = [
        holds(column, _storable(value).casefold()) for column, value in parts if value is not None
    ]
    wholes = (
        (message.c.status, wanted.status),
        (message.c.host, wanted.host),
        (message.c.queue, wanted.queue),
    )
    found += [column == _storable(value) for column, value in wholes if value is not None]
    domains = (
        (message.c.sender_folded, wanted.sender_domain),
        (message.c.recipients_folded, wanted.recipient_domain),
    )
    found += [
        holds(column + "\n", f"@{_storable(value).casefold()}\n")
        for column, value in domains
        if value is not None
    ]
    ranges = (
        (message.c.received_at_ms, wanted.received_from_ms, wanted.received_to_ms),
        (message.c.size_bytes, wanted.size_min, wanted.size_max),
        (message.c.attempts, wanted.attempts_min, wanted.attempts_max),
    )
    for column, least, most in ranges:
        found += [] if least is None else [column >= least]
        found += [] if most is None else [column <= most]
    return found


def _storable(text: str) -> str:
    """Return a text as it would be stored: no column holds a NUL."""
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")


def _hosted(row: Row[Any]) -> HostedMail:
    mail = Mail(
        message_id=row.message_id,
        queue=row.queue,
        received_at_ms=row.received_at_ms,
        sender=row.sender,
        recipients=_decode(row.recipients),
        delivered=_decode(row.delivered),
        size_bytes=row.size_bytes,
        status=Status(row.status),
        frozen_at_ms=row.frozen_at_ms,
        is_delivering=row.is_delivering,
        subject=row.subject,
        host=row.source,
        user=row.user,
        protocol=row.protocol,
        attempts=row.attempts,
        last_attempt_at_ms=row.last_attempt_at_ms,
        last_error=row.last_error,
    )
    return HostedMail(host=row.host, mail=mail)
