"""Every word said to SQL about schedules; one text for PostgreSQL and SQLite."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, text, update

from models.messages.rules import NewMessage
from models.schedules.rules import CatchUp, Plan, Schedule, Timing
from models.schedules.tables import schedule as table

_decode: Final = msgspec.json.Decoder(NewMessage).decode
_encode: Final = msgspec.json.Encoder().encode
# Any number that nobody else locks by in the same database.
_MAKERS_LOCK: Final = 7_813_420_512

_COUNT: Final = select(func.count()).select_from(table)
_BY_NAME: Final = select(table).where(table.c.name == bindparam("of_name"))
_LOCKED: Final = _BY_NAME.with_for_update()
_PAGE: Final = (
    select(table)
    .where(table.c.name > bindparam("after"))
    .order_by(table.c.name)
    .limit(bindparam("count"))
)
_DUE: Final = (
    select(table.c.name)
    .where(table.c.next_run_ms <= bindparam("moment_ms"))
    .order_by(table.c.next_run_ms, table.c.name)
)
_CLAIM: Final = _BY_NAME.where(table.c.next_run_ms <= bindparam("moment_ms")).with_for_update(
    skip_locked=True
)
_STORE: Final = update(table).where(table.c.name == bindparam("of_name"))
_REMOVE: Final = delete(table).where(table.c.name == bindparam("of_name"))


def count_among_makers(connection: Connection) -> int:
    """Return how many schedules there are; nobody else makes one before the commit."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MAKERS_LOCK})
    return int(connection.execute(_COUNT).scalar_one())


def read(connection: Connection, name: str) -> Schedule | None:
    """Return a schedule."""
    return _maybe(connection.execute(_BY_NAME, {"of_name": name}).first())


def lock(connection: Connection, name: str) -> Schedule | None:
    """Return a schedule and let nobody else change it before the commit."""
    return _maybe(connection.execute(_LOCKED, {"of_name": name}).first())


def page(connection: Connection, *, after: str, count: int) -> list[Schedule]:
    """Return up to `count` schedules by name, those behind `after`."""
    rows = connection.execute(_PAGE, {"after": after, "count": count})
    return [_schedule(row) for row in rows]


def names_due(connection: Connection, *, now_ms: int) -> Sequence[str]:
    """Return the schedules with a moment that has come, the longest due first."""
    return connection.execute(_DUE, {"moment_ms": now_ms}).scalars().all()


def claim(connection: Connection, name: str, *, now_ms: int) -> Schedule | None:
    """Lock a schedule that is still due; None if somebody else has it, or had it just now."""
    bounds = {"of_name": name, "moment_ms": now_ms}
    return _maybe(connection.execute(_CLAIM, bounds).first())


def create(connection: Connection, schedule: Schedule) -> None:
    """Store a new schedule; raises IntegrityError if there is one of this name."""
    connection.execute(insert(table), _row(schedule))


def store(connection: Connection, schedule: Schedule) -> None:
    """Store a schedule that changed; the caller holds its lock."""
    connection.execute(_STORE.values(**_row(schedule)), {"of_name": schedule.name})


def remove(connection: Connection, name: str) -> bool:
    """Delete a schedule; say whether there was one."""
    return connection.execute(_REMOVE, {"of_name": name}).rowcount > 0


def _row(schedule: Schedule) -> dict[str, Any]:
    plan = schedule.plan
    own = {column: getattr(schedule, column) for column in _OWN_COLUMNS}
    return {
        **own,
        **asdict(plan.timing),
        "catch_up": plan.catch_up.value,
        "paused": plan.paused,
        "message": _encode(plan.message).decode(),
    }


_OF_PLAN: Final = {"catch_up", "paused", "message", *Timing.__dataclass_fields__}
_OWN_COLUMNS: Final = tuple(column.name for column in table.c if column.name not in _OF_PLAN)


def _maybe(row: Row[Any] | None) -> Schedule | None:
    return None if row is None else _schedule(row)


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        plan=Plan(
            timing=Timing(**{name: getattr(row, name) for name in Timing.__dataclass_fields__}),
            message=_decode(row.message),
            paused=row.paused,
            catch_up=CatchUp(row.catch_up),
        ),
        **{name: getattr(row, name) for name in _OWN_COLUMNS},
    )
