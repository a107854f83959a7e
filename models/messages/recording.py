"""Read the stream of events and keep the history: exactly once, however often it runs.

How far the stream was read stands in the database and moves in the transaction that writes what
was read, so a task that is doubled, or killed at any moment, changes nothing. Source: ADR 0009.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import msgspec
import redis

from models import pulse
from models.database import Database
from models.events import decode_entry, dropped_before, moment_of_entry, stream_key
from models.messages import facts
from models.messages.histories import HistoryEvent, Ledger, Row, Told, message_id_of
from models.messages.statements import history, work

_ENTRIES_AT_ONCE: Final = 100
_FORGOTTEN_AT_ONCE: Final = 2_000
# How many events one transaction writes: some 20 ms in which SQLite's only writer is taken.
_ROWS_MAX: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Events that are missing; without `since_ms`: since the last line of the history."""

    reason: str
    until_ms: int
    since_ms: int | None = None
    commits: int | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a run did."""

    events: int
    gaps: int


def record(database: Database, client: redis.Redis, *, events_max: int) -> Recorded:
    """Write up to about `events_max` events into the history, in their order.

    What was lost before it could be read is noted as a gap. Raises redis.RedisError, and
    UnavailableError; what was written by then stays written.
    """
    position = database.look(lambda connection: history.read_position(connection, facts.DOMAIN))
    items = _read(client, position, events_max)
    events = gaps = 0
    while chunk := list(islice(items, _ROWS_MAX)):
        told = [item for item in chunk if isinstance(item, Told)]
        if not told:  # a gap is noted together with what comes behind it
            break
        if not _write(database, chunk, position, told[-1].offset):
            break  # another task was faster, and goes on
        position = told[-1].offset
        events += len(told)
        gaps += len(chunk) - len(told)
    return Recorded(events, gaps)


def forget(
    database: Database,
    *,
    history_keep_ms: int,
    rows_max: int,
    now_ms: int,
    batch: int = _FORGOTTEN_AT_ONCE,
) -> int:
    """Delete what is too old, or more than `rows_max` lines; return how many lines went."""
    removed = 0
    while True:
        with database.begin() as connection:
            went = history.remove_old(
                connection, until_ms=now_ms - history_keep_ms, rows_max=rows_max, count=batch
            )
        removed += went
        if went < batch:
            break
    with database.begin() as connection:
        history.remove_old_sums(connection, until_ms=now_ms - history_keep_ms)
    return removed


def _write(database: Database, chunk: Sequence[Told | Gap], old: str, new: str) -> bool:
    """Write what was read in one transaction; False when somebody else did."""
    ids = {
        message_id
        for item in chunk
        if isinstance(item, Told) and (message_id := message_id_of(item.event)) is not None
    }
    # Looked up before, so that SQLite's writer is not kept waiting. Whoever writes meanwhile
    # moves the position, and then nothing of this is kept.
    ledger = Ledger(database.look(lambda connection: history.known(connection, sorted(ids))))
    for item in chunk:
        if isinstance(item, Told):
            ledger.note(item)
        else:
            since_ms = item.since_ms or database.look(history.newest_at_ms)
            ledger.note_gap(
                at_ms=item.until_ms if since_ms is None else min(since_ms, item.until_ms),
                until_ms=item.until_ms,
                reason=item.reason,
                **({} if item.commits is None else {"commits": item.commits}),
            )
    with database.begin() as connection:
        if not history.advance(connection, facts.DOMAIN, old=old, new=new):
            return False
        history.put(connection, ledger.rows)
        work.add_work(connection, ledger.work)
        work.note_failing(connection, ledger.failing)
        pulse.add(connection, facts.DOMAIN, _pulse_of(ledger.rows))
    return True


def _pulse_of(rows: Sequence[Row]) -> dict[int, pulse.Counts]:
    """Count what happened in each minute."""
    found: dict[int, Counter[str]] = {}
    for row in rows:
        found.setdefault(pulse.minute_of(row.at_ms), Counter())[row.event] += 1
    return {
        at_ms: pulse.Counts(
            arrived=events[HistoryEvent.ENQUEUED],
            done=events[HistoryEvent.ACKNOWLEDGED],
            failed=events[HistoryEvent.GIVEN_BACK] + events[HistoryEvent.LAPSED],
        )
        for at_ms, events in found.items()
    }


def _read(client: redis.Redis, position: str, events_max: int) -> Iterator[Told | Gap]:
    """Yield the events behind a position, and a gap where some are missing, in order."""
    last_id, _, last_index = position.rpartition(".")
    yielded = 0
    for is_first, (entry_id, fields) in _follow(client, last_id):
        skipped = -1
        if is_first and entry_id == last_id:
            skipped = int(last_index)
        elif is_first and last_id:
            yield _cut(entry_id, fields)
        for item in _items(entry_id, fields, skipped):
            yield item
            yielded += isinstance(item, Told)
            if yielded >= events_max:
                return


def _follow(client: redis.Redis, last_id: str) -> Iterator[tuple[bool, tuple[str, Any]]]:
    """Yield entries from the one read last, and whether each is the first."""
    entries = _entries(client, start=last_id or "-")
    if last_id and not entries:
        entries = _entries(client, start="-")  # another stream, if any, whose clock is behind
    is_first = True
    while entries:
        for found_id, fields in entries:
            yield is_first, (found_id.decode(), fields)
            is_first = False
        entries = _entries(client, start="(" + entries[-1][0].decode())


def _entries(client: redis.Redis, *, start: str) -> list[Any]:
    found: Any = client.xrange(stream_key(facts.DOMAIN), min=start, count=_ENTRIES_AT_ONCE)
    return list(found)


def _items(entry_id: str, fields: Mapping[bytes, bytes], skipped: int) -> Iterator[Told | Gap]:
    """Yield what an entry tells behind the event `skipped`; -1: all of it."""
    at_ms = moment_of_entry(fields) or _moment(entry_id)
    if skipped < 0 and (commits := dropped_before(fields)):
        yield Gap(reason="redis_away", since_ms=at_ms, until_ms=at_ms, commits=commits)
    try:
        events = decode_entry(fields)
    except (KeyError, msgspec.DecodeError):  # nothing of ours; it must not stop us for ever
        return
    for index, event in enumerate(events):
        if index > skipped:
            yield Told(f"{entry_id}.{index}", at_ms, event)


def _cut(entry_id: str, fields: Mapping[bytes, bytes]) -> Gap:
    until_ms = moment_of_entry(fields) or _moment(entry_id)
    return Gap(reason="stream_cut", until_ms=until_ms)


def _moment(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
