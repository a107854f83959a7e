"""Alarms that last, those that somebody is still to be told of, and what they are read from."""

from collections.abc import Iterable
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Row, bindparam, delete, func, insert, select, update

from models.mail.alarms import Alarm, AlarmKind, Reading
from models.mail.rules import Status
from models.mail.tables import alarm, count, host, message

_RAISED: Final = select(alarm).where(alarm.c.over_at_ms.is_(None)).order_by(alarm.c.since_ms)
_UNTOLD: Final = select(alarm).where(alarm.c.is_told.is_(False)).order_by(alarm.c.since_ms)
_THIS: Final = (
    alarm.c.host == bindparam("of_host"),
    alarm.c.kind == bindparam("of_kind"),
    alarm.c.since_ms == bindparam("of_since_ms", type_=BigInteger),
)


def lock(connection: Connection) -> list[Alarm]:
    """Return the alarms that last; nobody else changes or raises one before the commit."""
    connection.execute(select(host.c.name).order_by(host.c.name).with_for_update()).all()
    return raised(connection)


def raised(connection: Connection) -> list[Alarm]:
    """Return the alarms that last, the oldest first."""
    return [_alarm(row) for row in connection.execute(_RAISED)]


def untold(connection: Connection) -> list[Alarm]:
    """Return alarms whose beginning or end nobody was told of yet."""
    return [_alarm(row) for row in connection.execute(_UNTOLD)]


def note(connection: Connection, changed: Iterable[Alarm]) -> None:
    """Note what began and what is over, under the lock."""
    for each in changed:
        which = {"of_host": each.host, "of_kind": each.kind.value, "of_since_ms": each.since_ms}
        values = {"value": each.value, "over_at_ms": each.over_ms, "is_told": False}
        if each.is_over:
            connection.execute(update(alarm).where(*_THIS).values(**values), which)
        else:
            row = {"host": each.host, "kind": each.kind.value, "threshold": each.threshold}
            connection.execute(insert(alarm), {**row, "since_ms": each.since_ms, **values})


def note_told(connection: Connection, told: Iterable[Alarm]) -> None:
    """Note that somebody was told; what is over is forgotten then."""
    for each in told:
        which = {"of_host": each.host, "of_kind": each.kind.value, "of_since_ms": each.since_ms}
        if each.is_over:
            connection.execute(delete(alarm).where(*_THIS), which)
        else:
            still = (*_THIS, alarm.c.over_at_ms.is_(None))
            connection.execute(update(alarm).where(*still).values(is_told=True), which)


def readings(connection: Connection, *, now_ms: int) -> list[Reading]:
    """Return what each host has now."""
    held = select(count.c.host, func.sum(count.c.messages)).group_by(count.c.host)
    frozen = select(count.c.host, func.sum(count.c.messages)).where(
        count.c.status == Status.FROZEN.value
    )
    oldest = (
        select(message.c.host, func.min(message.c.received_at_ms))
        .where(message.c.status != Status.FROZEN.value)
        .group_by(message.c.host)
    )
    held_by = {name: int(number) for name, number in connection.execute(held)}
    frozen_by = {
        name: int(number) for name, number in connection.execute(frozen.group_by(count.c.host))
    }
    oldest_by = {name: int(at_ms) for name, at_ms in connection.execute(oldest)}
    found: list[Reading] = []
    for name, seen_at_ms in connection.execute(select(host.c.name, host.c.seen_at_ms)):
        age_ms = now_ms - oldest_by.get(name, now_ms)
        values = {
            AlarmKind.MESSAGES: held_by.get(name, 0),
            AlarmKind.FROZEN: frozen_by.get(name, 0),
            AlarmKind.AGE: max(age_ms, 0) // 1000,
            AlarmKind.SILENCE: max(now_ms - seen_at_ms, 0) // 1000,
        }
        found += [Reading(host=name, kind=kind, value=value) for kind, value in values.items()]
    return found


def _alarm(row: Row[Any]) -> Alarm:
    return Alarm(
        host=row.host,
        kind=AlarmKind(row.kind),
        value=row.value,
        threshold=row.threshold,
        since_ms=row.since_ms,
        over_ms=row.over_at_ms,
    )
