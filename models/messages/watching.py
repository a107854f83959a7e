"""Look for anomalies: one picture from cheap reads, the rules, and since when each is there."""

from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy import Connection

from models.database import Database
from models.messages.anomalies import (
    FOUND_MAX,
    PAST_MS,
    RECENT_MS,
    Anomaly,
    Depth,
    Picture,
    Thresholds,
    find,
)
from models.messages.histories import MINUTE_MS
from models.messages.statements import anomalies, work
from models.messages.statements.queues import read_settings

_MINUTES_READ_MAX: Final = 50_000
_SUBJECT_CHARACTERS_MAX: Final = 512


@dataclass(frozen=True, slots=True)
class Watched:
    """What a look changed: kinds and subjects that are new, and those that are over."""

    new: list[tuple[str, str]]
    over: list[tuple[str, str]]


def look(connection: Connection, thresholds: Thresholds, *, now_ms: int) -> list[Anomaly]:
    """Return what is wrong now, each with since when."""
    known = anomalies.since(connection)
    return [
        replace(each, since_ms=_since(each, known.get(_key(each)), now_ms))
        for each in find(_picture(connection, thresholds, now_ms=now_ms), thresholds)
    ]


def sample(database: Database, thresholds: Thresholds, *, now_ms: int) -> Watched:
    """Keep how deep the queues are and what is wrong, so that the next look knows since when.

    A repeat within a minute, or two at once, change nothing but what is found.
    """
    found, depths = database.look(
        lambda connection: (
            look(connection, thresholds, now_ms=now_ms),
            anomalies.depths(connection),
        )
    )
    with database.begin() as connection:
        anomalies.lock_found(connection)
        anomalies.note_depths(connection, now_ms - now_ms % MINUTE_MS, depths)
        new, over = anomalies.note_found(
            connection, {_key(each): each.since_ms or now_ms for each in found}, now_ms=now_ms
        )
    return Watched(new, over)


def _picture(connection: Connection, thresholds: Thresholds, *, now_ms: int) -> Picture:
    now = anomalies.depths(connection)
    settings = read_settings(connection)
    return Picture(
        now_ms=now_ms,
        work=work.work_between(
            connection,
            since_ms=now_ms - PAST_MS - RECENT_MS,
            until_ms=now_ms,
            names=None,
            rows_max=_MINUTES_READ_MAX,
        ),
        failed=anomalies.failed(connection, failures_min=thresholds.failures_max, count=FOUND_MAX),
        ending=anomalies.ending(connection, thresholds, now_ms=now_ms),
        oldest_at_ms=anomalies.oldest(
            connection, (queue for queue, depth in now.items() if depth.queued)
        ),
        now=now,
        recently=_then(connection, now, now_ms - RECENT_MS, now_ms - RECENT_MS // 2),
        before=_then(connection, now, now_ms - PAST_MS, now_ms - MINUTE_MS),
        paused=frozenset(name for name, of_queue in settings.items() if of_queue.paused),
    )


def _then(
    connection: Connection, now: dict[str, Depth], since_ms: int, until_ms: int
) -> dict[str, Depth]:
    """Return how deep the queues of now were; a queue that nobody saw then was empty."""
    then = anomalies.depths_at(connection, since_ms=since_ms, until_ms=until_ms)
    # A look notes what it saw; of a time without a look nothing is known.
    return {queue: then.get(queue, Depth()) for queue in now} if then else {}


def _since(found: Anomaly, noted_ms: int | None, now_ms: int) -> int:
    if found.since_ms is not None:
        return found.since_ms
    return now_ms if noted_ms is None else noted_ms


def _key(found: Anomaly) -> tuple[str, str]:
    return found.kind.value, found.subject[:_SUBJECT_CHARACTERS_MAX]
