"""What estimates were and what came of them; how far they were off lately."""

from typing import Final

from sqlalchemy import BigInteger, Connection, bindparam, delete, insert, select, update

from models.tickets.rules import Calibration
from models.tickets.tables import calibration, ticket

_OF_BRANCH: Final = bindparam("of_branch", type_=BigInteger)
_CALIBRATIONS: Final = select(calibration).where(calibration.c.branch_id == _OF_BRANCH)
_OUTCOMES: Final = (
    select(
        ticket.c.ahead,
        ticket.c.drained_min,
        ticket.c.created_at_ms,
        ticket.c.first_called_at_ms,
    )
    .where(
        ticket.c.branch_id == _OF_BRANCH,
        ticket.c.first_called_at_ms.is_not(None),
        ticket.c.drained_min.is_not(None),
    )
    .order_by(ticket.c.id.desc())
    .limit(bindparam("count"))
)
_MINUTE_MS: Final = 60_000


def of_branch(connection: Connection, branch_id: int) -> dict[int, Calibration]:
    """Return how far estimates were off, by the smallest number ahead of each class."""
    return {
        row.ahead_min: Calibration(
            low=row.low, middle=row.middle, high=row.high, outcomes=row.outcomes
        )
        for row in connection.execute(_CALIBRATIONS, {"of_branch": branch_id})
    }


def version_of(connection: Connection, branch_id: int) -> int:
    """Return as of which version of a branch its calibrations hold; -1: there are none."""
    rows = connection.execute(_CALIBRATIONS, {"of_branch": branch_id})
    return min((row.version for row in rows), default=-1)


def outcomes(
    connection: Connection, branch_id: int, *, count: int
) -> list[tuple[int, float, float]]:
    """Return the latest outcomes: how many were ahead, the drained minutes, the real ones."""
    rows = connection.execute(_OUTCOMES, {"of_branch": branch_id, "count": count})
    return [
        (row.ahead, row.drained_min, (row.first_called_at_ms - row.created_at_ms) / _MINUTE_MS)
        for row in rows
    ]


def store(
    connection: Connection, branch_id: int, found: dict[int, Calibration], *, version: int
) -> None:
    """Replace the calibrations of a branch."""
    connection.execute(delete(calibration).where(calibration.c.branch_id == branch_id))
    rows = [
        {
            "branch_id": branch_id,
            "ahead_min": ahead_min,
            "outcomes": each.outcomes,
            "low": each.low,
            "middle": each.middle,
            "high": each.high,
            "version": version,
        }
        for ahead_min, each in found.items()
    ]
    if rows:
        connection.execute(insert(calibration), rows)


def mark(connection: Connection, branch_id: int, *, version: int) -> None:
    """Note that the calibrations of a branch still hold as of a version."""
    connection.execute(
        update(calibration).where(calibration.c.branch_id == branch_id).values(version=version)
    )
