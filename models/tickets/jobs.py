"""What is done about tickets in the background; every job is harmless to repeat."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

import redis
from sqlalchemy import Connection

from models import pulse
from models.database import Database
from models.events import Event
from models.tickets import facts, herald, moves
from models.tickets.calibrations import CLASSES, OUTCOMES_MAX
from models.tickets.calibrations import calibrate as calibrate_outcomes
from models.tickets.desks import read_desks
from models.tickets.estimates import next_wait_min
from models.tickets.facts import Done
from models.tickets.hours import business_day, closed_for_min
from models.tickets.moves import Scene
from models.tickets.rules import Branch, Calibration, Status, Ticket
from models.tickets.statements import calibrations, halls, reports, tickets
from models.tickets.turnstile import run_step

DOMAIN: Final = "tickets"
_MINUTE_MS: Final = 60_000
# Small enough that a sweep of SQLite's only writer holds nobody up.
_ROWS_AT_ONCE: Final = 500


def sweep(database: Database, client: redis.Redis, *, kept_max: int, now_ms: int) -> int:
    """Tell displays what they were not told yet; returns how many changes."""
    return herald.sweep(database, client, kept_max=kept_max, now_ms=now_ms)


def close_days(database: Database, *, after_ms: int, now_ms: int) -> int:
    """Cancel who still waits where the day is over; returns how many tickets.

    Of a business day that is over, everything open; of today, who waits or is set aside `after_ms`
    after the last opening hour. What displays are told of it is kept with it, for `sweep` to bring
    to them.
    """
    cancelled = 0
    for branch in database.look(halls.branches):
        left = database.look(lambda connection, of=branch: _left(connection, of, after_ms, now_ms))  # type: ignore[misc]
        if left:
            cancelled += _close(database, branch.id, after_ms=after_ms, now_ms=now_ms)
    return cancelled


def calibrate(database: Database, *, now_ms: int) -> int:
    """Compare the latest estimates with what came of them, where something changed.

    Displays are told of waits that are expected to be others. Returns in how many branches.
    """
    calibrated = 0
    for branch in database.look(halls.branches):
        known, found, version = database.look(
            lambda connection, of=branch.id: _calibrations(connection, of)  # type: ignore[misc]
        )
        if version == branch.version or not found:
            continue
        if known == found:
            with database.begin() as connection:
                calibrations.mark(connection, branch.id, version=branch.version)
            continue
        with database.begin() as connection:
            run_step(connection, branch.id, _calibration_step(found, now_ms=now_ms), now_ms=now_ms)
        calibrated += 1
    return calibrated


def forget(database: Database, *, kept_ms: int, now_ms: int) -> int:
    """Delete tickets that were over so long ago and the numbers of their days; return how many."""
    forgotten = 0
    before_ms = now_ms - kept_ms
    while True:
        with database.begin() as connection:
            gone = reports.forget(connection, before_ms=before_ms, count=_ROWS_AT_ONCE)
        forgotten += gone
        if gone < _ROWS_AT_ONCE:
            break
    # A day more, since a business day is of a clock on any side of the world.
    day = datetime.fromtimestamp(before_ms / 1000, UTC).date() - timedelta(days=2)
    with database.begin() as connection:
        reports.forget_sequences(connection, before_day=day.isoformat())
    return forgotten


def _calibrations(
    connection: Connection, branch_id: int
) -> tuple[dict[int, Calibration], dict[int, Calibration], int]:
    outcomes = calibrations.outcomes(connection, branch_id, count=len(CLASSES) * OUTCOMES_MAX)
    return (
        calibrations.of_branch(connection, branch_id),
        calibrate_outcomes(outcomes),
        calibrations.version_of(connection, branch_id),
    )


def _calibration_step(
    found: dict[int, Calibration], *, now_ms: int
) -> Callable[[Connection, Branch], Done[None]]:
    def step(connection: Connection, branch: Branch) -> Done[None]:
        counters = halls.counters(connection, branch_id=branch.id)
        before = read_desks(connection, branch, counters, now_ms=now_ms)
        calibrations.store(connection, branch.id, found, version=branch.version)
        after = read_desks(connection, branch, counters, now_ms=now_ms)
        return Done(
            None,
            [
                facts.estimated(new, now_ms=now_ms)
                for old, new in zip(before, after, strict=True)
                if next_wait_min(old, now_ms=now_ms) != next_wait_min(new, now_ms=now_ms)
            ],
        )

    return step


def see(database: Database, *, now_ms: int) -> list[Event]:
    """Keep how many people wait in all halls, and what happened in the last minutes."""
    since_ms = pulse.recent(now_ms).start
    (depth, oldest_at_ms), found = database.look(
        lambda connection: (
            reports.waiting(connection),
            reports.minutes(connection, since_ms=since_ms),
        )
    )
    seen = pulse.Seen(depth=depth, oldest_at_ms=oldest_at_ms, counts=pulse.counted(found, now_ms))
    with database.begin() as connection:
        return pulse.keep(connection, DOMAIN, seen, now_ms=now_ms)


def _left(connection: Connection, branch: Branch, after_ms: int, now_ms: int) -> list[Ticket]:
    """Return whose day is over."""
    today = business_day(branch, at_ms=now_ms)
    left = tickets.open_from_before(connection, branch.id, today)
    closed_min = closed_for_min(branch, at_ms=now_ms)
    if closed_min is None or closed_min * _MINUTE_MS < after_ms:
        return left
    # Who is called or served then is served to the end.
    waiting = [
        each
        for each in tickets.open_of_branch(connection, branch.id)
        if each.status is Status.WAITING and each.business_day == today
    ]
    return [*left, *waiting]


def _close(database: Database, branch_id: int, *, after_ms: int, now_ms: int) -> int:
    with database.begin() as connection:

        def step(_connection: object, branch: Branch) -> Done[int]:
            left = _left(connection, branch, after_ms, now_ms)
            scene = Scene(connection=connection, branch=branch, acting=None, now_ms=now_ms)
            return Done(len(left), moves.cancel_all(scene, left))

        count, _ = run_step(connection, branch_id, step, now_ms=now_ms)
        return count
