"""What is done about tickets in the background; every job is harmless to repeat."""

from typing import Final

import redis

from models.database import Database
from models.tickets import herald, moves
from models.tickets.facts import Done
from models.tickets.hours import business_day
from models.tickets.moves import Scene
from models.tickets.rules import Branch
from models.tickets.statements import halls, tickets
from models.tickets.turnstile import run_step

DOMAIN: Final = "tickets"


def sweep(database: Database, client: redis.Redis, *, kept_max: int, now_ms: int) -> int:
    """Tell displays what they were not told yet; returns how many changes."""
    return herald.sweep(database, client, kept_max=kept_max, now_ms=now_ms)


def close_days(database: Database, *, now_ms: int) -> int:
    """Cancel what is still open of business days that are over; returns how many tickets.

    What displays are told of it is kept with it, for `sweep` to bring to them.
    """
    cancelled = 0
    for branch in database.look(halls.branches):
        today = business_day(branch, at_ms=now_ms)
        left = database.look(
            lambda connection, of=branch.id, day=today: tickets.open_from_before(  # type: ignore[misc]
                connection, of, day
            )
        )
        if left:
            cancelled += _close(database, branch.id, today, now_ms=now_ms)
    return cancelled


def _close(database: Database, branch_id: int, today: str, *, now_ms: int) -> int:
    with database.begin() as connection:

        def step(_connection: object, branch: Branch) -> Done[int]:
            left = tickets.open_from_before(connection, branch_id, today)
            scene = Scene(connection=connection, branch=branch, acting=None, now_ms=now_ms)
            return Done(len(left), moves.cancel_all(scene, left))

        count, _ = run_step(connection, branch_id, step, now_ms=now_ms)
        return count
