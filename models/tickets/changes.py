"""What admins and officers change about a hall, within a transaction that holds the branch."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection

from models.errors import InvalidError
from models.tickets import facts
from models.tickets.acting import Acting
from models.tickets.desks import read_desks
from models.tickets.facts import Done
from models.tickets.hours import is_timezone, opening_faults
from models.tickets.refusals import (
    BranchNotFoundError,
    CounterNotFoundError,
    ProcedureNotFoundError,
)
from models.tickets.rules import Branch, Counter, CounterStatus, Procedure, check_text
from models.tickets.statements import halls

_NAME_CHARACTERS_MAX: Final = 255
_REASON_CHARACTERS_MAX: Final = 500


def add_branch(
    connection: Connection, values: Mapping[str, Any], acting: Acting, *, now_ms: int
) -> Branch:
    """Make a branch; raises InvalidError, or IntegrityError if its name is taken."""
    check_values(values)
    branch_id = halls.add_branch(connection, values, now_ms=now_ms)
    branch = branch_of(connection, branch_id)
    _note(connection, acting, "branch_created", f"branch:{branch_id}", values, now_ms=now_ms)
    return branch


def branch_of(connection: Connection, branch_id: int) -> Branch:
    """Return a branch; raises BranchNotFoundError."""
    branch = halls.branch_of(connection, branch_id)
    if branch is None:
        raise BranchNotFoundError(branch_id)
    return branch


def counter_of(connection: Connection, counter_id: int) -> Counter:
    """Return a counter; raises CounterNotFoundError."""
    counter = halls.counter_of(connection, counter_id)
    if counter is None:
        raise CounterNotFoundError(counter_id)
    return counter


def procedure_of(connection: Connection, procedure_id: int) -> Procedure:
    """Return a procedure; raises ProcedureNotFoundError."""
    procedure = halls.procedure_of(connection, procedure_id)
    if procedure is None:
        raise ProcedureNotFoundError(procedure_id)
    return procedure


def change_branch(
    connection: Connection,
    branch: Branch,
    values: Mapping[str, Any],
    acting: Acting,
    *,
    now_ms: int,
) -> Done[Branch]:
    """Change a branch; raises InvalidError, or IntegrityError if the name is taken."""
    check_values(values)
    if values:
        halls.change_branch(connection, branch.id, values)
    _note(connection, acting, "branch_changed", f"branch:{branch.id}", values, now_ms=now_ms)
    return Done(branch_of(connection, branch.id))


def add_counter(
    connection: Connection,
    branch: Branch,
    values: Mapping[str, Any],
    acting: Acting,
    *,
    now_ms: int,
) -> Done[Counter]:
    """Make a counter, which is open at once; raises as `change_counter` does."""
    check_values(values)
    row = {**values, "branch_id": branch.id, "status": CounterStatus.ACTIVE}
    counter_id = halls.add_counter(connection, row, now_ms=now_ms)
    counter = counter_of(connection, counter_id)
    _note(connection, acting, "counter_created", f"counter:{counter_id}", values, now_ms=now_ms)
    return Done(counter)


def change_counter(
    connection: Connection,
    branch: Branch,
    counter_id: int,
    values: Mapping[str, Any],
    acting: Acting,
    *,
    now_ms: int,
) -> Done[Counter]:
    """Change a counter, and tell displays if its status is another.

    Raises CounterNotFoundError, InvalidError, or IntegrityError if the name is taken.
    """
    check_values(values)
    old = counter_of(connection, counter_id)
    row = dict(values)
    if "status" in row and row["status"] is not CounterStatus.PAUSED:
        row |= {"pause_reason": None, "paused_until_ms": None}
    if row:
        halls.change_counter(connection, counter_id, row, now_ms=now_ms)
    action = "counter_changed" if "status" not in values else f"counter_{values['status'].value}"
    _note(connection, acting, action, f"counter:{counter_id}", values, now_ms=now_ms)
    counter = counter_of(connection, counter_id)
    if counter.status is old.status and counter.name == old.name:
        return Done(counter)
    [desk] = read_desks(connection, branch, [counter], now_ms=now_ms)
    event = facts.counter_changed(desk, old, by=acting.staff, now_ms=now_ms)
    return Done(counter, [event])


def save_procedure(
    connection: Connection,
    procedure_id: int | None,
    values: Mapping[str, Any],
    acting: Acting,
    *,
    now_ms: int,
) -> Procedure:
    """Make or change a procedure; `counter_ids` are the counters that do it.

    Raises ProcedureNotFoundError, InvalidError for a counter that is not there, or IntegrityError
    if the name is taken.
    """
    check_values(values)
    row = {name: value for name, value in values.items() if name != "counter_ids"}
    counter_ids: Sequence[int] | None = values.get("counter_ids")
    action = "procedure_created" if procedure_id is None else "procedure_changed"
    if procedure_id is None:
        procedure_id = halls.add_procedure(connection, row, now_ms=now_ms)
    else:
        procedure_of(connection, procedure_id)
        if row:
            halls.change_procedure(connection, procedure_id, row, now_ms=now_ms)
    if counter_ids is not None:
        wanted = sorted(set(counter_ids))
        if len(halls.counters(connection, ids=wanted)) < len(wanted):
            raise InvalidError({"counter_ids": "Expected counters that exist"})
        halls.place_procedure(connection, procedure_id, wanted)
    _note(connection, acting, action, f"procedure:{procedure_id}", values, now_ms=now_ms)
    return procedure_of(connection, procedure_id)


def check_values(values: Mapping[str, Any]) -> None:
    """Raise InvalidError for what no branch, counter or procedure can have."""
    faults: dict[str, str] = {}
    for name, characters_max in (
        ("name", _NAME_CHARACTERS_MAX),
        ("pause_reason", _REASON_CHARACTERS_MAX),
    ):
        text = values.get(name)
        if text is not None and (fault := check_text(text, characters_max=characters_max)):
            faults[name] = fault
    if "name" in values and not values["name"].strip():
        faults["name"] = "Expected a name"
    if "timezone" in values and not is_timezone(values["timezone"]):
        faults["timezone"] = "Expected a name such as Asia/Ho_Chi_Minh"
    opening = values.get("opening")
    if opening is not None and (fault := opening_faults(opening)):
        faults["opening"] = fault
    if faults:
        raise InvalidError(faults)


def _note(
    connection: Connection,
    acting: Acting,
    action: str,
    target: str,
    values: Mapping[str, Any],
    *,
    now_ms: int,
) -> None:
    acting.note(connection, action, target, dict(values), now_ms=now_ms)
