"""Keep the history of rooms, and what visitors said of themselves: jobs, which block.

Everything here is harmless to repeat, to run twice at once, or to be killed in: what was counted
already, and which visitor is stored already, stands in the database.
"""

from collections.abc import Mapping
from typing import Final, cast

import redis
from sqlalchemy.exc import IntegrityError

from models import pulse
from models.database import Database
from models.events import Event
from models.rooms import counters
from models.rooms.rules import DOMAIN
from models.rooms.statements import samples
from models.rooms.statements import visitors as statements
from models.rooms.statistics import Reading, waits_since
from models.rooms.visitors import STREAM, decode

# How many rooms one transaction samples, and how many notes one stores.
_ROOMS_AT_ONCE: Final = 50
# How far back a visitor is looked for who waits still.
_LOOK_BACK_MS: Final = 6 * 3_600_000
_NOTES_AT_ONCE: Final = 500
_FORGOTTEN_AT_ONCE: Final = 2_000


def sample(database: Database, client: redis.Redis, *, now_ms: int) -> int:
    """Look at the counters of all rooms and keep the news; return how many rooms had any.

    Raises redis.RedisError, and UnavailableError.
    """
    room_ids = sorted(database.look(samples.bases))
    return keep(database, counters.read(client, room_ids), now_ms=now_ms)


def see(database: Database, client: redis.Redis, *, now_ms: int) -> list[Event]:
    """Keep how many wait before all rooms, and what was sampled in the last minutes.

    Since when the first one waits is reckoned from the minutes in which visitors joined, of the
    rooms with most who wait. Raises redis.RedisError, and UnavailableError.
    """
    readings = counters.read(client, sorted(database.look(samples.bases)))
    waiting = {room_id: each.waiting for room_id, each in readings.items() if each.waiting}
    longest = sorted(waiting, key=lambda room_id: -waiting[room_id])[:_ROOMS_AT_ONCE]
    since_ms = pulse.recent(now_ms).start
    found, joined = database.look(
        lambda connection: (
            samples.minutes(connection, since_ms=since_ms),
            samples.joined(connection, longest, since_ms=now_ms - _LOOK_BACK_MS),
        )
    )
    firsts = [waits_since(joined.get(room_id, ()), waiting[room_id]) for room_id in longest]
    seen = pulse.Seen(
        depth=sum(waiting.values()),
        oldest_at_ms=min((first for first in firsts if first is not None), default=None),
        counts=pulse.counted(found, now_ms),
    )
    with database.begin() as connection:
        return pulse.keep(connection, DOMAIN, seen, now_ms=now_ms)


def keep(database: Database, readings: Mapping[str, Reading], *, now_ms: int) -> int:
    """Add what rooms counted since the last look to their history; return how many had news."""
    bases = database.look(samples.bases)
    news = sorted(
        room_id
        for room_id, reading in readings.items()
        if (base := bases.get(room_id)) is not None
        and not (reading.is_quiet and reading.counts == base.counts)
    )
    for start in range(0, len(news), _ROOMS_AT_ONCE):
        with database.begin() as connection:
            for room_id in news[start : start + _ROOMS_AT_ONCE]:
                samples.keep(connection, room_id, readings[room_id], now_ms=now_ms)
    return len(news)


def note_visitors(database: Database, client: redis.Redis, *, notes_max: int) -> int:
    """Move up to `notes_max` notes from the stream into SQL; return how many were new there.

    A note leaves the stream after the commit. Raises redis.RedisError, and UnavailableError.
    """
    stored = 0
    for _ in range(-(-notes_max // _NOTES_AT_ONCE)):
        entries = cast(
            "list[tuple[bytes, dict[bytes, bytes]]]", client.xrange(STREAM, count=_NOTES_AT_ONCE)
        )
        if not entries:
            break
        notes = [decode(fields) for _, fields in entries]
        try:
            with database.begin() as connection:
                stored += statements.add(connection, notes)
        except IntegrityError:
            break  # another task stores them
        client.xdel(STREAM, *[entry_id for entry_id, _ in entries])
    return stored


def forget(
    database: Database, *, samples_kept_ms: int, visitors_kept_ms: int, now_ms: int
) -> tuple[int, int]:
    """Delete minutes and visitors past their time; return how many of each went."""
    minutes = visitors = 0
    while True:
        with database.begin() as connection:
            old = samples.remove_old(
                connection, before_ms=now_ms - samples_kept_ms, count=_FORGOTTEN_AT_ONCE
            )
            gone = statements.remove_old(
                connection, before_ms=now_ms - visitors_kept_ms, count=_FORGOTTEN_AT_ONCE
            )
        minutes, visitors = minutes + old, visitors + gone
        if max(old, gone) < _FORGOTTEN_AT_ONCE:
            return minutes, visitors
