"""What happens to schedules in the background; harmless to repeat and to run many times at once."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Final

from sqlalchemy import Connection

from models.database import Database
from models.errors import InvalidError, StanchionError
from models.events import Event
from models.messages import facts
from models.messages.intake import Enqueue
from models.messages.line import LineKey
from models.messages.registry import Registry
from models.messages.rules import Enqueued, Submission
from models.schedules import moments, statements
from models.schedules.rules import MOMENTS_MAX, Schedule, pick

DOMAIN: Final = facts.DOMAIN
# Of the counters; the jobs of messages have those before it.
_SHARD: Final = 1_000_010


@dataclass(slots=True)
class Round:
    """What a round of schedules put in, to tell of after its commits, and who failed and why."""

    events: list[Event] = field(default_factory=list)
    arrivals: dict[LineKey, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    broken: Exception | None = None  # not foreseen: the moments of its schedule stay due

    def note(self, submissions: Sequence[Submission], stored: Sequence[Enqueued]) -> None:
        """Note messages that one transaction stored."""
        new = facts.stored_messages(submissions, stored)
        self.events += facts.enqueued(new)
        for line, count in facts.arrivals(new).items():
            self.arrivals[line] = self.arrivals.get(line, 0) + count


def run_due(
    database: Database, *, attempts_default: int, lease_default_ms: int, now_ms: int
) -> Round:
    """Put in the messages of all moments up to `now_ms`, each once whoever else does the same.

    Each schedule has a transaction of its own, which stores its messages and moves its next
    moment: a crash undoes both, and who comes second finds nothing due. Raises UnavailableError.
    """
    enqueue = Enqueue(
        _SHARD, Registry(), attempts_default=attempts_default, lease_default_ms=lease_default_ms
    )
    done = Round()
    with database.begin() as connection:
        names = statements.names_due(connection, now_ms=now_ms)
    for name in names:
        try:
            _run(database, name, enqueue, done, now_ms)
        except StanchionError:
            raise
        except Exception as error:  # noqa: BLE001 -- it must not stop the others
            done.broken = error
    return done


def _run(database: Database, name: str, enqueue: Enqueue, done: Round, now_ms: int) -> None:
    with database.begin() as connection:
        schedule = statements.claim(connection, name, now_ms=now_ms)
        if schedule is None:
            return
        try:
            due, following = _due(schedule, now_ms)
        except InvalidError as error:  # its zone is gone: nobody knows a next moment
            _fail(connection, replace(schedule, next_run_ms=None), [error], done, now_ms)
            return
        items = [Submission([schedule.plan.message])] * len(due)
        outcomes = enqueue(connection, items, now_ms=now_ms, slot=0) if items else []
        stored = [each for each in outcomes if isinstance(each, Enqueued)]
        errors = [each for each in outcomes if isinstance(each, StanchionError)]
        schedule = replace(
            schedule,
            next_run_ms=following,
            last_run_ms=due[-1] if due else schedule.last_run_ms,
            runs=schedule.runs + len(stored),
            failures=0 if stored else schedule.failures,
        )
        if errors:
            _fail(connection, schedule, errors, done, now_ms)
        else:
            statements.store(connection, schedule)
    done.note(items[: len(stored)], stored)  # they are all equal


def _due(schedule: Schedule, now_ms: int) -> tuple[list[int], int | None]:
    """Return the moments that run now, in order, and the first one after them."""
    timing, anchor_ms, first_ms = schedule.plan.timing, schedule.anchor_ms, schedule.next_run_ms
    assert first_ms is not None, "only what has a moment is claimed"
    passed = moments.between(timing, anchor_ms, first_ms, now_ms)
    newest_first = list(islice(passed, MOMENTS_MAX))
    due = pick(newest_first[::-1], schedule.plan.catch_up, now_ms=now_ms)
    return due, moments.after(timing, anchor_ms, now_ms)


def _fail(
    connection: Connection,
    schedule: Schedule,
    errors: Sequence[StanchionError],
    done: Round,
    now_ms: int,
) -> None:
    reason = str(errors[-1])
    statements.store(
        connection,
        replace(
            schedule,
            failures=schedule.failures + len(errors),
            last_error=reason,
            last_error_at_ms=now_ms,
        ),
    )
    done.failed[schedule.name] = reason
