"""What workers do for alarms: look, note what changed, and see that somebody is told, once."""

from collections.abc import Callable, Mapping, Sequence

from models.database import Database
from models.mail import alarms
from models.mail.alarms import Alarm, AlarmKind
from models.mail.statements import alarms as statements


def watch(
    database: Database,
    thresholds: Mapping[AlarmKind, int],
    tell: Callable[[Sequence[Alarm]], None],
    *,
    now_ms: int,
) -> list[Alarm]:
    """Look at all hosts; return the alarms that were told now.

    What changed is on disk before `tell` is called with it. If that raises, or we die, it is told
    the next time: `tell` takes a repeat for one.
    """
    with database.begin() as connection:
        raised = statements.lock(connection)
        readings = statements.readings(connection, now_ms=now_ms)
        statements.note(connection, alarms.change(raised, readings, thresholds, now_ms=now_ms))
    with database.begin() as connection:
        untold = statements.untold(connection)
    if untold:
        tell(untold)
        with database.begin() as connection:
            statements.note_told(connection, untold)
    return untold
