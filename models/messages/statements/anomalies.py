"""Cheap reads for whoever looks for anomalies, and what was found at the last look."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, bindparam, delete, func, insert, select, text, tuple_

from models.messages import tables
from models.messages.anomalies import Depth, Ending, Failed, Thresholds
from models.messages.history_tables import anomaly, failing, queue_minute
from models.messages.rules import DEFAULT_QUEUE, PRIORITY_MAX, MessageState
from models.messages.statements.counts import read_counters

# So many queues are watched, those with the most messages.
_QUEUES_MAX: Final = 200
_ENDING_MAX: Final = 1_000

_OLDEST: Final = text(
    """
    SELECT id, created_at_ms FROM message_ready
    WHERE queue = :queue AND lane = :lane ORDER BY id LIMIT 1
    """
)


def depths(connection: Connection) -> dict[str, Depth]:
    """Return how many messages wait and are dead, of the longest queues, from the counters."""
    found: dict[str, list[int]] = {DEFAULT_QUEUE: [0, 0]}  # a look at nothing is a look too
    for queue, _, state, n in read_counters(connection):
        numbers = found.setdefault(queue, [0, 0])
        if state == MessageState.QUEUED:
            numbers[0] += n
        elif state == MessageState.DEAD:
            numbers[1] += n
    longest = sorted(found, key=lambda queue: (-sum(found[queue]), queue))[:_QUEUES_MAX]
    return {queue: Depth(*found[queue]) for queue in longest}


def oldest(connection: Connection, queues: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Return when the oldest waiting message of each queue came in, and its id."""
    found: dict[str, tuple[int, int]] = {}
    for queue in queues:
        rows = [
            row
            for lane in range(PRIORITY_MAX + 1)
            if (row := connection.execute(_OLDEST, {"queue": queue, "lane": lane}).first())
        ]
        if rows:
            found[queue] = min((row.created_at_ms, row.id) for row in rows)
    return found


def ending(connection: Connection, thresholds: Thresholds, *, now_ms: int) -> list[Ending]:
    """Return leases that nobody touched and that are about to end; reads all that is leased."""
    leased = tables.leased.c
    left_ms = leased.lease_until_ms - now_ms
    statement = (
        select(
            leased.id,
            leased.queue,
            leased.type,
            leased.consumer_id,
            leased.lease_until_ms,
            leased.lease_length_ms,
        )
        .where(
            left_ms > 0,
            left_ms * 100 <= leased.lease_length_ms * thresholds.left_percent,
            leased.lease_length_ms >= thresholds.lease_min_ms,
            leased.lease_until_ms == leased.leased_at_ms + leased.lease_length_ms,
        )
        .limit(_ENDING_MAX)
    )
    return [
        Ending(
            message_id=row.id,
            queue=row.queue,
            type=row.type,
            consumer_id=row.consumer_id,
            lease_until_ms=row.lease_until_ms,
            lease_length_ms=row.lease_length_ms,
        )
        for row in connection.execute(statement)
    ]


def failed(connection: Connection, *, failures_min: int, count: int) -> list[Failed]:
    """Return the messages that failed most and are not dealt with."""
    statement = (
        select(failing)
        .where(failing.c.failures >= failures_min)
        .order_by(failing.c.failures.desc(), failing.c.message_id)
        .limit(count)
    )
    return [
        Failed(
            message_id=row.message_id,
            queue=row.queue,
            type=row.type,
            failures=row.failures,
            first_at_ms=row.first_at_ms,
            consumer_id=row.consumer_id,
        )
        for row in connection.execute(statement)
    ]


_SAMPLE: Final = text(
    """
    INSERT INTO message_queue_minute (minute_ms, queue, queued, dead)
    VALUES (:minute_ms, :queue, :queued, :dead)
    ON CONFLICT (minute_ms, queue) DO NOTHING
    """
)


def note_depths(connection: Connection, minute_ms: int, found: Mapping[str, Depth]) -> None:
    """Keep how deep the queues are; of two looks within a minute the first counts."""
    if found:
        connection.execute(
            _SAMPLE,
            [
                {"minute_ms": minute_ms, "queue": queue, "queued": of.queued, "dead": of.dead}
                for queue, of in sorted(found.items())
            ],
        )


def depths_at(connection: Connection, *, since_ms: int, until_ms: int) -> dict[str, Depth]:
    """Return how deep the queues were in the first minute that is known of a time.

    A queue that was empty then, or not yet there, stands with nothing. Empty: nothing is known.
    """
    of_time = (queue_minute.c.minute_ms >= since_ms, queue_minute.c.minute_ms <= until_ms)
    first = select(func.min(queue_minute.c.minute_ms)).where(*of_time).scalar_subquery()
    statement = select(queue_minute).where(queue_minute.c.minute_ms == first)
    return {row.queue: Depth(row.queued, row.dead) for row in connection.execute(statement)}


def since(connection: Connection) -> dict[tuple[str, str], int]:
    """Return since when each anomaly of the last look is there, by kind and subject."""
    return {(row.kind, row.subject): row.since_ms for row in connection.execute(select(anomaly))}


def note_found(
    connection: Connection, found: Mapping[tuple[str, str], int], *, now_ms: int
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Keep what was found, with since when; return what is new and what is over."""
    before = since(connection)
    new = [key for key in found if key not in before]
    over = [key for key in before if key not in found]
    _remove(connection, over)
    if new:
        connection.execute(
            insert(anomaly),
            [
                {
                    "kind": kind,
                    "subject": subject,
                    "since_ms": found[kind, subject],
                    "seen_at_ms": now_ms,
                }
                for kind, subject in sorted(new)
            ],
        )
    return new, over


def lock_found(connection: Connection) -> None:
    """Let one look at a time note what it found."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE message_anomaly IN SHARE ROW EXCLUSIVE MODE"))


def _remove(connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
    if keys:
        connection.execute(
            delete(anomaly).where(
                tuple_(anomaly.c.kind, anomaly.c.subject).in_(
                    bindparam("keys", list(keys), expanding=True)
                )
            )
        )
