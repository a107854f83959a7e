"""What the logs say of a span of time: how much, whose, and what came of it."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, func, select

from models.mail.log_lines import ATTEMPTS, Event
from models.mail.log_views import Ranked
from models.mail.tables import log, message

_ATTEMPTS: Final = tuple(event.value for event in ATTEMPTS)
_FAILURES: Final = (Event.DEFER.value, Event.BOUNCE.value, Event.REJECT.value)
_REASON_CHARACTERS_MAX: Final = 200


def count_by(
    connection: Connection, *, step_ms: int, from_ms: int, to_ms: int
) -> list[tuple[int, str, int]]:
    """Return how many lines of each kind fall into each step of time, by its beginning."""
    step = log.c.at_ms - log.c.at_ms % step_ms
    rows = connection.execute(
        select(step, log.c.event, func.count())
        .where(log.c.at_ms.between(from_ms, to_ms))
        .group_by(step, log.c.event)
        .order_by(step)
    )
    return [(int(at_ms), event, int(count)) for at_ms, event, count in rows]


def reasons(
    connection: Connection, *, from_ms: int, to_ms: int, count: int
) -> list[tuple[str, int]]:
    """Return why attempts and arrivals failed, the most frequent first."""
    reason = func.substr(log.c.error, 1, _REASON_CHARACTERS_MAX)
    return _most(connection, reason, log.c.error != "", from_ms=from_ms, to_ms=to_ms, count=count)


def codes(connection: Connection, *, from_ms: int, to_ms: int, count: int) -> list[tuple[str, int]]:
    """Return the codes of SMTP with which attempts and arrivals failed."""
    return _most(
        connection, log.c.code, log.c.code != "", from_ms=from_ms, to_ms=to_ms, count=count
    )


def _most(
    connection: Connection,
    column: ColumnElement[Any],
    condition: ColumnElement[bool],
    *,
    from_ms: int,
    to_ms: int,
    count: int,
) -> list[tuple[str, int]]:
    number = func.count()
    rows = connection.execute(
        select(column, number)
        .where(log.c.event.in_(_FAILURES), log.c.at_ms.between(from_ms, to_ms), condition)
        .group_by(column)
        .order_by(number.desc(), column)
        .limit(count)
    )
    return [(text, int(many)) for text, many in rows]


def senders(connection: Connection, *, from_ms: int, to_ms: int, count: int) -> list[Ranked]:
    """Return who sent most messages, and what came of the attempts for them."""
    return _ranked_by_arrivals(connection, log.c.sender, from_ms, to_ms, count)


def sender_domains(connection: Connection, *, from_ms: int, to_ms: int, count: int) -> list[Ranked]:
    """Return from which domains most messages came."""
    return _ranked_by_arrivals(connection, log.c.sender_domain, from_ms, to_ms, count)


def recipients(connection: Connection, *, from_ms: int, to_ms: int, count: int) -> list[Ranked]:
    """Return for whom most messages were, as attempts tell."""
    return _ranked_by_attempts(connection, log.c.recipient, from_ms, to_ms, count)


def recipient_domains(
    connection: Connection, *, from_ms: int, to_ms: int, count: int
) -> list[Ranked]:
    """Return for which domains most messages were."""
    return _ranked_by_attempts(connection, log.c.recipient_domain, from_ms, to_ms, count)


def _ranked_by_arrivals(
    connection: Connection, column: ColumnElement[str], from_ms: int, to_ms: int, count: int
) -> list[Ranked]:
    number = func.count()
    rows = connection.execute(
        select(
            column.label("name"),
            number.label("messages"),
            func.coalesce(func.sum(log.c.size_bytes), 0).label("size_bytes"),
        )
        .where(
            log.c.event == Event.ARRIVAL.value, log.c.at_ms.between(from_ms, to_ms), column != ""
        )
        .group_by(column)
        .order_by(number.desc(), column)
        .limit(count)
    ).all()
    outcomes = _outcomes(connection, column, [row.name for row in rows], from_ms, to_ms)
    return [_ranked(row, outcomes.get(row.name, {})) for row in rows]


def _ranked_by_attempts(
    connection: Connection, column: ColumnElement[str], from_ms: int, to_ms: int, count: int
) -> list[Ranked]:
    # One message is tried several times: it counts once, with its size.
    each = (
        select(column.label("name"), func.max(log.c.size_bytes).label("size_bytes"))
        .where(log.c.event.in_(_ATTEMPTS), log.c.at_ms.between(from_ms, to_ms), column != "")
        .group_by(column, log.c.host, log.c.message_id)
        .subquery()
    )
    number = func.count()
    rows = connection.execute(
        select(
            each.c.name,
            number.label("messages"),
            func.coalesce(func.sum(each.c.size_bytes), 0).label("size_bytes"),
        )
        .group_by(each.c.name)
        .order_by(number.desc(), each.c.name)
        .limit(count)
    ).all()
    outcomes = _outcomes(connection, column, [row.name for row in rows], from_ms, to_ms)
    return [_ranked(row, outcomes.get(row.name, {})) for row in rows]


def _outcomes(
    connection: Connection,
    column: ColumnElement[str],
    names: Sequence[str],
    from_ms: int,
    to_ms: int,
) -> dict[str, dict[str, int]]:
    """Return how many attempts of each outcome there were, by names."""
    rows = connection.execute(
        select(column, log.c.event, func.count())
        .where(log.c.event.in_(_ATTEMPTS), log.c.at_ms.between(from_ms, to_ms), column.in_(names))
        .group_by(column, log.c.event)
    )
    found: dict[str, dict[str, int]] = {}
    for name, event, number in rows:
        found.setdefault(name, {})[event] = int(number)
    return found


def _ranked(row: Row[Any], outcomes: dict[str, int]) -> Ranked:
    return Ranked(
        name=row.name,
        messages=int(row.messages),
        size_bytes=int(row.size_bytes),
        delivered=outcomes.get(Event.DELIVERY.value, 0),
        deferred=outcomes.get(Event.DEFER.value, 0),
        bounced=outcomes.get(Event.BOUNCE.value, 0),
    )


def waiting_by(connection: Connection, *, step_ms: int, from_ms: int, to_ms: int) -> dict[int, int]:
    """Return how many messages that are in the queues now came in each step of time."""
    step = message.c.received_at_ms - message.c.received_at_ms % step_ms
    rows = connection.execute(
        select(step, func.count())
        .where(message.c.received_at_ms.between(from_ms, to_ms))
        .group_by(step)
    )
    return {int(at_ms): int(count) for at_ms, count in rows}
