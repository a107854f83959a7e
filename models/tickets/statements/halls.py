"""Branches, counters and procedures: read, made, changed, and held for a change."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Connection,
    Row,
    bindparam,
    delete,
    insert,
    select,
    update,
)

from models.tickets.rules import (
    Branch,
    Counter,
    CounterStatus,
    Numbering,
    Policy,
    Procedure,
    Side,
    fold,
)
from models.tickets.tables import branch, counter, procedure, procedure_counter

_Opening = tuple[tuple[tuple[int, int], ...], ...]
_decode_opening: Final = msgspec.json.Decoder(_Opening).decode
_OF_ID: Final = bindparam("of_id", type_=BigInteger)
_WORDS_MAX: Final = 8

_BRANCHES: Final = select(branch).order_by(branch.c.id)
_BRANCH: Final = select(branch).where(branch.c.id == _OF_ID)
# Whoever changes anything in a branch holds its row from here to the commit, so changes of a
# branch come one after the other, and its versions tell in which order.
_HOLD: Final = (
    update(branch)
    .where(branch.c.id == _OF_ID)
    .values(version=branch.c.version + 1, changed_at_ms=bindparam("moment_ms", type_=BigInteger))
    .returning(branch)
)
_COUNTERS: Final = select(counter).order_by(counter.c.id)
_COUNTER: Final = select(counter).where(counter.c.id == _OF_ID)
_PROCEDURE: Final = select(procedure).where(procedure.c.id == _OF_ID)
_PLACES: Final = select(procedure_counter).order_by(procedure_counter.c.counter_id)


def branches(connection: Connection) -> list[Branch]:
    """Return all branches, by age."""
    return [_branch(row) for row in connection.execute(_BRANCHES)]


def branch_of(connection: Connection, branch_id: int) -> Branch | None:
    """Return a branch."""
    row = connection.execute(_BRANCH, {"of_id": branch_id}).first()
    return None if row is None else _branch(row)


def hold_branch(connection: Connection, branch_id: int, *, now_ms: int) -> Branch | None:
    """Begin a change: return the branch with its next version, held until the commit."""
    row = connection.execute(_HOLD, {"of_id": branch_id, "moment_ms": now_ms}).first()
    return None if row is None else _branch(row)


def add_branch(connection: Connection, values: Mapping[str, Any], *, now_ms: int) -> int:
    """Store a branch and return its id; raises IntegrityError if its name is taken."""
    row = _branch_row(values) | {"version": 0, "changed_at_ms": now_ms, "created_at_ms": now_ms}
    return int(connection.execute(insert(branch).returning(branch.c.id), row).scalar_one())


def change_branch(connection: Connection, branch_id: int, values: Mapping[str, Any]) -> None:
    """Change some facts of a branch."""
    connection.execute(update(branch).where(branch.c.id == branch_id).values(_branch_row(values)))


def counters(
    connection: Connection, *, branch_id: int | None = None, ids: Sequence[int] | None = None
) -> list[Counter]:
    """Return counters by age: all, those of a branch, or some."""
    statement = _COUNTERS
    if branch_id is not None:
        statement = statement.where(counter.c.branch_id == branch_id)
    if ids is not None:
        statement = statement.where(counter.c.id.in_(ids))
    return [_counter(row) for row in connection.execute(statement)]


def counter_of(connection: Connection, counter_id: int) -> Counter | None:
    """Return a counter."""
    row = connection.execute(_COUNTER, {"of_id": counter_id}).first()
    return None if row is None else _counter(row)


def add_counter(connection: Connection, values: Mapping[str, Any], *, now_ms: int) -> int:
    """Store a counter and return its id; raises IntegrityError if its name is taken."""
    row = {**values, "created_at_ms": now_ms, "updated_at_ms": now_ms}
    return int(connection.execute(insert(counter).returning(counter.c.id), row).scalar_one())


def change_counter(
    connection: Connection, counter_id: int, values: Mapping[str, Any], *, now_ms: int
) -> None:
    """Change some facts of a counter."""
    connection.execute(
        update(counter).where(counter.c.id == counter_id).values(**values, updated_at_ms=now_ms)
    )


def set_turn(connection: Connection, counter_id: int, turn: Side | None) -> None:
    """Note whose turn it is at a counter."""
    connection.execute(update(counter).where(counter.c.id == counter_id).values(turn=turn))


def procedures(connection: Connection, *, search: str = "") -> list[Procedure]:
    """Return procedures by name: all, or those in whose name each word of a search occurs."""
    statement = select(procedure).order_by(procedure.c.folded, procedure.c.id)
    for word in fold(search).split()[:_WORDS_MAX]:
        statement = statement.where(procedure.c.folded.contains(word, autoescape=True))
    rows = connection.execute(statement).all()
    places: dict[int, list[int]] = {}
    for place in connection.execute(_PLACES):
        places.setdefault(place.procedure_id, []).append(place.counter_id)
    return [_procedure(row, places.get(row.id, [])) for row in rows]


def procedure_of(connection: Connection, procedure_id: int) -> Procedure | None:
    """Return a procedure."""
    row = connection.execute(_PROCEDURE, {"of_id": procedure_id}).first()
    if row is None:
        return None
    places = _PLACES.where(procedure_counter.c.procedure_id == procedure_id)
    return _procedure(row, [each.counter_id for each in connection.execute(places)])


def add_procedure(connection: Connection, values: Mapping[str, Any], *, now_ms: int) -> int:
    """Store a procedure and return its id; raises IntegrityError if its name is taken."""
    row = {**_folded(values), "created_at_ms": now_ms, "updated_at_ms": now_ms}
    return int(connection.execute(insert(procedure).returning(procedure.c.id), row).scalar_one())


def change_procedure(
    connection: Connection, procedure_id: int, values: Mapping[str, Any], *, now_ms: int
) -> None:
    """Change some facts of a procedure."""
    connection.execute(
        update(procedure)
        .where(procedure.c.id == procedure_id)
        .values(**_folded(values), updated_at_ms=now_ms)
    )


def place_procedure(connection: Connection, procedure_id: int, counter_ids: Sequence[int]) -> None:
    """Let these counters do a procedure, and no others."""
    connection.execute(
        delete(procedure_counter).where(procedure_counter.c.procedure_id == procedure_id)
    )
    if counter_ids:
        connection.execute(
            insert(procedure_counter),
            [{"procedure_id": procedure_id, "counter_id": each} for each in counter_ids],
        )


def _folded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "folded": fold(values["name"])} if "name" in values else dict(values)


def _branch_row(values: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(values)
    if "opening" in row:
        opening = row["opening"]
        row["opening"] = None if opening is None else msgspec.json.encode(opening).decode()
    return row


def _branch(row: Row[Any]) -> Branch:
    return Branch(
        id=row.id,
        name=row.name,
        timezone=row.timezone,
        reset_minute=row.reset_minute,
        numbering=Numbering(row.numbering),
        number_first=row.number_first,
        opening=None if row.opening is None else _decode_opening(row.opening),
        version=row.version,
        changed_at_ms=row.changed_at_ms,
        created_at_ms=row.created_at_ms,
    )


def _counter(row: Row[Any]) -> Counter:
    return Counter(
        id=row.id,
        branch_id=row.branch_id,
        name=row.name,
        status=CounterStatus(row.status),
        pause_reason=row.pause_reason,
        paused_until_ms=row.paused_until_ms,
        policy=Policy(row.policy),
        turn=None if row.turn is None else Side(row.turn),
        number_first=row.number_first,
    )


def _procedure(row: Row[Any], counter_ids: Sequence[int]) -> Procedure:
    return Procedure(
        id=row.id,
        name=row.name,
        service_min=row.service_min,
        is_active=row.is_active,
        counter_ids=tuple(counter_ids),
    )
