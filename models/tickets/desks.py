"""Counters with everybody at them, read as one moment."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from models.tickets.hours import business_day
from models.tickets.rules import Branch, Calibration, Counter, Desk, Served, Status, Ticket
from models.tickets.statements import calibrations, halls, tickets

_MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """What tells a hall from the same hall at another time: its changes, and the minute."""

    versions: tuple[tuple[str, int], ...]  # of each branch, by its key
    minute: int

    @property
    def number(self) -> int:
        """Return what grows with each change, each new branch, and each minute."""
        return sum(version + 1 for _, version in self.versions) + self.minute


@dataclass(frozen=True, slots=True, kw_only=True)
class Hall:
    """Every counter with everybody at it, as of a moment; the same edition is the same hall."""

    edition: Edition
    as_of_ms: int
    branches: tuple[Branch, ...]
    desks: tuple[Desk, ...]


def read_edition(connection: Connection, *, now_ms: int) -> Edition:
    """Return the edition of the hall as it is now; costs one small query."""
    return _edition(halls.branches(connection), now_ms)


def read_hall(connection: Connection, *, now_ms: int) -> Hall:
    """Return everything at all counters; the connection sees one moment."""
    branches = halls.branches(connection)
    changed_at_ms = max((each.changed_at_ms for each in branches), default=0)
    counters = halls.counters(connection)
    by_branch: dict[int, list[Counter]] = {}
    for counter in counters:
        by_branch.setdefault(counter.branch_id, []).append(counter)
    people = tickets.open_tickets(connection)
    desks = [
        desk
        for branch in branches
        for desk in _desks(connection, branch, by_branch.get(branch.id, []), people, now_ms=now_ms)
    ]
    return Hall(
        edition=_edition(branches, now_ms),
        # Of the same edition every process answers the same, so the clock shows whole minutes.
        as_of_ms=max(changed_at_ms, now_ms - now_ms % _MINUTE_MS),
        branches=tuple(branches),
        desks=tuple(sorted(desks, key=lambda each: each.counter.id)),
    )


def read_desks(
    connection: Connection, branch: Branch, counters: Sequence[Counter], *, now_ms: int
) -> list[Desk]:
    """Return some counters of a branch with everybody at them."""
    people = tickets.open_tickets(connection, [each.id for each in counters])
    return _desks(connection, branch, counters, people, now_ms=now_ms)


def _desks(
    connection: Connection,
    branch: Branch,
    counters: Sequence[Counter],
    people: Iterable[Ticket],
    *,
    now_ms: int,
) -> list[Desk]:
    at: dict[int, list[Ticket]] = {each.id: [] for each in counters}
    for ticket in people:
        if ticket.counter_id in at:
            at[ticket.counter_id].append(ticket)
    served = tickets.served_on(connection, list(at), business_day(branch, at_ms=now_ms))
    off = calibrations.of_branch(connection, branch.id)
    return [_desk(each, at[each.id], served.get(each.id, {}), off) for each in counters]


def _desk(
    counter: Counter,
    people: Sequence[Ticket],
    served: dict[int | None, Served],
    off: dict[int, Calibration],
) -> Desk:
    waiting = [each for each in people if each.status is Status.WAITING]
    return Desk(
        counter=counter,
        present=tuple(each for each in people if each.status is not Status.WAITING),
        waiting=tuple(each for each in waiting if not each.is_parked),
        parked=tuple(each for each in waiting if each.is_parked),
        served=served,
        calibrations=off,
    )


def _edition(branches: Iterable[Branch], now_ms: int) -> Edition:
    return Edition(
        versions=tuple((each.key, each.version) for each in branches),
        minute=now_ms // _MINUTE_MS,
    )
