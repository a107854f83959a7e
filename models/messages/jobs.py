"""What happens to messages in the background; every job is harmless to repeat or to run twice."""

from dataclasses import dataclass
from typing import Final

from models import pulse
from models.database import Database
from models.events import Event
from models.messages import facts, writes
from models.messages.rules import Tally
from models.messages.statements import archive, counts, delays, once, partitions, rates, settle
from models.messages.statements.queues import read_settings

DOMAIN: Final = facts.DOMAIN
# The worker's shard of the counters; those of API processes are small numbers.
_SHARD: Final = 1_000_000
# Written at night only, so that a recount's snapshot meets no other writer.
_NIGHT_SHARD: Final = 1_000_001
_RECOUNT_TIMEOUT_S: Final = 3_600.0
_ROWS_MAX: Final = 500
# A turn is of no use seconds after it came; this is only for those whose message went elsewhere.
_TURNS_KEPT_MS: Final = 3_600_000
# How many days beside today have a partition ready: so long may no worker run.
_DAYS_AHEAD: Final = 3


@dataclass(frozen=True, slots=True)
class Sweep:
    """What a sweep found: events to publish, and whether consumers may have something to take."""

    events: list[Event]
    has_arrivals: bool


def expire(database: Database, *, now_ms: int) -> Sweep:
    """Let messages wait again, or die, whose lease ran out by `now_ms`; and in, that are due.

    Consumers do not depend on it: a claim finds them by itself. This keeps the counts
    true and tells those who wait in other processes.
    """
    events: list[Event] = []
    _forget(database, now_ms=now_ms)
    has_arrivals = _let_in_due(database, now_ms=now_ms)
    while True:
        tally = Tally()
        with database.begin() as connection:
            lapsed = settle.collect_lapsed(
                connection,
                read_settings(connection),
                count=_ROWS_MAX,
                now_ms=now_ms,
                tally=tally,
            )
            counts.bump(connection, _SHARD, tally)
        events += facts.lapsed(lapsed)
        has_arrivals = has_arrivals or bool(facts.returns(lapsed))
        if len(lapsed) < _ROWS_MAX:
            return Sweep(events, has_arrivals)


def see(database: Database, *, now_ms: int) -> list[Event]:
    """Keep how deep all queues are together; what happens in them is counted with the history."""
    status = database.look(writes.read_status)
    seen = pulse.Seen(depth=status.counts.queued, oldest_at_ms=status.oldest_queued_at_ms)
    with database.begin() as connection:
        return pulse.keep(connection, DOMAIN, seen, now_ms=now_ms)


def _forget(database: Database, *, now_ms: int) -> None:
    """Delete names under which something was stored, rates and turns whose time is over."""
    batch = _ROWS_MAX
    while batch == _ROWS_MAX:
        with database.begin() as connection:
            batch = max(
                once.forget(connection, count=_ROWS_MAX, now_ms=now_ms),
                rates.forget(
                    connection,
                    count=_ROWS_MAX,
                    now_ms=now_ms,
                    turns_before_ms=now_ms - _TURNS_KEPT_MS,
                ),
            )


def _let_in_due(database: Database, *, now_ms: int) -> bool:
    """Let messages that are due by `now_ms` into their lines; say whether there were any."""
    total = 0
    while True:
        tally = Tally()
        with database.begin() as connection:
            ids = delays.collect_due(connection, count=_ROWS_MAX, now_ms=now_ms, tally=tally)
            counts.bump(connection, _SHARD, tally)
        total += len(ids)
        if len(ids) < _ROWS_MAX:
            return total > 0


def grow_old(
    database: Database, *, archive_after_ms: int, delete_after_ms: int, now_ms: int
) -> tuple[int, int]:
    """Archive what was acknowledged long ago, delete what is older still; return both numbers.

    On PostgreSQL, where messages are kept by day, days to come are made and old days are dropped,
    each at its end: a message stays up to a day longer. Not with less than a day to keep them.
    """
    tally = Tally()
    with database.begin() as connection:
        archived = archive.archive_until(connection, now_ms - archive_after_ms, tally=tally)
        counts.bump(connection, _SHARD, tally)
    until_ms = now_ms - delete_after_ms
    if database.is_sqlite:
        return archived, _delete_rows(database, "message_done", until_ms=until_ms)
    _make_days(database, now_ms=now_ms)
    deleted = _drop_days(database, until_ms=until_ms)
    by_row = (
        ("message_done",)
        if delete_after_ms < partitions.DAY_MS
        else (partitions.BEFORE, partitions.DEFAULT)
    )
    for name in by_row:
        deleted += _delete_rows(database, name, until_ms=until_ms)
    return archived, deleted


def _make_days(database: Database, *, now_ms: int) -> None:
    """Make the partitions of the next days; what cannot be made now can be later."""
    with database.begin() as connection:
        missing = partitions.missing_days(connection, now_ms=now_ms, ahead=_DAYS_AHEAD)
    for start_ms in missing:
        try:
            with database.begin() as connection:
                partitions.make_day(connection, start_ms)
        except partitions.BusyError:
            return


def _drop_days(database: Database, *, until_ms: int) -> int:
    """Drop the partitions of days that ended by `until_ms`; return how many messages went."""
    with database.begin() as connection:
        names = partitions.droppable_days(connection, until_ms)
    dropped = 0
    for name in names:
        try:
            with database.begin() as connection:
                partitions.check_idle(connection)
            tally = Tally()
            with database.begin() as connection:
                batch = partitions.drop_day(connection, name, tally=tally)
                counts.bump(connection, _SHARD, tally)
        except partitions.BusyError:
            break
        dropped += batch
    return dropped


def _delete_rows(database: Database, partition: str, *, until_ms: int) -> int:
    """Delete archived messages acknowledged by `until_ms`; return how many went."""
    deleted = 0
    while True:
        tally = Tally()
        with database.begin() as connection:
            batch = archive.delete_archived(
                connection, until_ms, count=_ROWS_MAX, tally=tally, partition=partition
            )
            counts.bump(connection, _SHARD, tally)
        deleted += batch
        if batch < _ROWS_MAX:
            return deleted


def fold_counters(database: Database) -> None:
    """Sum the counters of all writers into one row each."""
    with database.begin() as connection:
        shards = counts.read_shards(connection)
    for shard in shards:
        if shard != _NIGHT_SHARD:
            with database.begin() as connection:
                counts.fold_shard(connection, shard, _NIGHT_SHARD)


def recount(database: Database) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Check the counters against the tables and set them right.

    Returns (queue, type, state) and the numbers (counter, table) where they differed: always
    empty, unless somebody wrote to the tables by hand. Both are read as of one moment, and the
    difference is added, so nobody has to wait for it.
    """
    with database.snapshot(timeout_s=_RECOUNT_TIMEOUT_S) as connection:
        kept = {
            (queue, type_, state): n for queue, type_, state, n in counts.read_counters(connection)
        }
        counted = counts.count_tables(connection, archive.archived_until_ms(connection))
        differences = {
            key: (kept.get(key, 0), counted.get(key, 0))
            for key in kept.keys() | counted.keys()
            if kept.get(key, 0) != counted.get(key, 0)
        }
        changes = {key: true - kept_n for key, (kept_n, true) in differences.items()}
        counts.correct_counters(connection, _NIGHT_SHARD, changes)
    return differences
