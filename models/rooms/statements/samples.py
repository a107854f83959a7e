"""What is said to SQL about the history of rooms: counters as last seen, and minutes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from models.rooms.statistics import (
    COUNTED,
    Base,
    Counts,
    Look,
    Point,
    Reading,
    minute_of,
    with_look,
)
from models.rooms.tables import count as counts
from models.rooms.tables import sample

_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(tuple[Look, ...]).decode
_MOMENT: Final = bindparam("moment_ms", type_=BigInteger)
_BASES: Final = select(counts)
_OF_ROOM: Final = select(counts).where(counts.c.room_id == bindparam("of_id"))
_LOCKED: Final = _OF_ROOM.with_for_update()
_SUMS: Final = tuple(func.coalesce(func.sum(sample.c[name]), 0).label(name) for name in COUNTED)
_SINCE: Final[Select[Any]] = select(
    *_SUMS, func.coalesce(func.max(sample.c.waiting_max), 0).label("waiting_max")
).where(sample.c.room_id == bindparam("of_id"), sample.c.at_ms >= _MOMENT)
_MINUTES: Final[Select[Any]] = (
    select(sample.c.at_ms, *_SUMS).where(sample.c.at_ms >= _MOMENT).group_by(sample.c.at_ms)
)
_OLD: Final[Select[Any]] = (
    select(sample.c.room_id, sample.c.at_ms)
    .where(sample.c.at_ms < _MOMENT)
    .order_by(sample.c.at_ms)
    .limit(bindparam("count"))
)


def start(connection: Connection, room_id: str, *, now_ms: int) -> None:
    """Begin to count a room that was just made; nothing is kept of one that has no such row."""
    zeros = dict.fromkeys((*COUNTED, "peak"), 0)
    row = {"room_id": room_id, "at_ms": now_ms, "looks": _encode([(now_ms, 0)]).decode(), **zeros}
    connection.execute(insert(counts), row)


def bases(connection: Connection) -> dict[str, Base]:
    """Return what was counted of each room up to the last look."""
    return {row.room_id: _base(row) for row in connection.execute(_BASES)}


def base(connection: Connection, room_id: str) -> Base:
    """Return what was counted of one room up to the last look."""
    row = connection.execute(_OF_ROOM, {"of_id": room_id}).first()
    return Base() if row is None else _base(row)


def keep(connection: Connection, room_id: str, reading: Reading, *, now_ms: int) -> None:
    """Add what was counted since the last look to the minute of this one.

    A repeat adds nothing: how far the counters were read moves in the same transaction. Does
    nothing for a room that was deleted.
    """
    row = connection.execute(_LOCKED, {"of_id": room_id}).first()
    if row is None:
        return
    known = _base(row)
    new = reading.counts.since(known.counts)
    peak = max(known.peak, reading.peak, reading.waiting)
    values = {name: getattr(reading.counts, name) for name in COUNTED}
    looks = with_look(known.looks, now_ms, reading.counts.admitted)
    connection.execute(
        update(counts)
        .where(counts.c.room_id == room_id)
        .values(at_ms=now_ms, peak=peak, looks=_encode(looks).decode(), **values)
    )
    # The most that ever waited, if that was since the last look, else what waits now.
    largest = max(reading.waiting, peak if peak > known.peak else 0)
    _add(connection, room_id, reading, new, largest, at_ms=minute_of(now_ms))


def since(connection: Connection, room_id: str, *, since_ms: int) -> tuple[Counts, int]:
    """Return what was sampled from a moment on, and the most that waited at any look."""
    row = connection.execute(_SINCE, {"of_id": room_id, "moment_ms": since_ms}).one()
    return _counts(row), int(row.waiting_max)


def history(
    connection: Connection, room_id: str, *, since_ms: int, until_ms: int, step_ms: int
) -> dict[int, Point]:
    """Return the sampled points of a span by their beginning; steps count from `since_ms`."""
    turn: ColumnElement[int] = (sample.c.at_ms - since_ms) // step_ms
    statement = (
        select(
            turn.label("turn"),
            *_SUMS,
            func.max(sample.c.waiting).label("waiting"),
            func.max(sample.c.inside).label("inside"),
            func.max(sample.c.waiting_max).label("waiting_max"),
        )
        .where(sample.c.room_id == room_id, sample.c.at_ms >= since_ms, sample.c.at_ms < until_ms)
        .group_by(turn)
    )
    points = [
        Point(
            at_ms=since_ms + int(row.turn) * step_ms,
            waiting=row.waiting,
            inside=row.inside,
            waiting_max=row.waiting_max,
            counts=_counts(row),
        )
        for row in connection.execute(statement)
    ]
    return {point.at_ms: point for point in points}


def minutes(connection: Connection, *, since_ms: int) -> list[tuple[int, str, int]]:
    """Return how many joined (`arrived`), were admitted (`done`) and lost (`failed`), by minute."""
    found = []
    for row in connection.execute(_MINUTES, {"moment_ms": since_ms}):
        found += [
            (int(row.at_ms), "arrived", int(row.joined)),
            (int(row.at_ms), "done", int(row.admitted)),
            (int(row.at_ms), "failed", int(row.expired) + int(row.no_shows)),
        ]
    return found


def joined(
    connection: Connection, room_ids: Sequence[str], *, since_ms: int
) -> dict[str, list[tuple[int, int]]]:
    """Return the minutes in which somebody joined rooms, and how many did, the newest first."""
    found: dict[str, list[tuple[int, int]]] = {}
    statement = (
        select(sample.c.room_id, sample.c.at_ms, sample.c.joined)
        .where(sample.c.room_id.in_(room_ids), sample.c.at_ms >= since_ms, sample.c.joined > 0)
        .order_by(sample.c.at_ms.desc())
    )
    for row in connection.execute(statement):
        found.setdefault(row.room_id, []).append((row.at_ms, row.joined))
    return found


def remove_old(connection: Connection, *, before_ms: int, count: int) -> int:
    """Delete at most `count` minutes from before a moment; return how many it deleted."""
    rows = connection.execute(_OLD, {"moment_ms": before_ms, "count": count}).all()
    for room_id, moments in _by_room(rows).items():
        connection.execute(
            delete(sample).where(sample.c.room_id == room_id, sample.c.at_ms.in_(moments))
        )
    return len(rows)


def _add(
    connection: Connection,
    room_id: str,
    reading: Reading,
    new: Counts,
    largest: int,
    *,
    at_ms: int,
) -> None:
    now = {"waiting": reading.waiting, "inside": reading.inside}
    added = {name: getattr(new, name) for name in COUNTED}
    # Whoever holds the lock of the room's counters is alone here, so one of the two fits.
    more: Mapping[str, Any] = {name: sample.c[name] + amount for name, amount in added.items()}
    is_larger = sample.c.waiting_max < largest
    changed = connection.execute(
        update(sample)
        .where(sample.c.room_id == room_id, sample.c.at_ms == at_ms)
        .values(**now, **more)
    ).rowcount
    if changed:
        connection.execute(
            update(sample)
            .where(sample.c.room_id == room_id, sample.c.at_ms == at_ms, is_larger)
            .values(waiting_max=largest)
        )
        return
    row = {"room_id": room_id, "at_ms": at_ms, "waiting_max": largest, **now, **added}
    connection.execute(insert(sample), row)


def _by_room(rows: Iterable[Row[Any]]) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for row in rows:
        found.setdefault(row.room_id, []).append(row.at_ms)
    return found


def _base(row: Row[Any]) -> Base:
    return Base(counts=_counts(row), peak=row.peak, looks=_decode(row.looks))


def _counts(row: Row[Any]) -> Counts:
    return Counts(**{name: int(getattr(row, name)) for name in COUNTED})
