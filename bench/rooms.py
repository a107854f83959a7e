"""A room's line beside the usual sorted set, on one Redis: memory, ticks, reaps, joins, heartbeats.

Times of ticks and reaps are those that Redis counts for its commands. Run it with
`python -m bench.rooms`; a number after it is how many wait, else a million.
"""

import os
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import redis

from bench.servers import RedisServer
from models.rooms import scripts
from models.rooms.rules import Arrival, LineConfig, Place

_WAITING: Final = 1_000_000
_AT_ONCE: Final = 1_000  # joins and heartbeats of one trip
_SILENT: Final = 1_000
_ADMITTED: Final = 10_000
_HUGE: Final = 10_000_000
_TIMEOUT_MS: Final = 60_000
_START_MS: Final = 1_900_000_000_000
_CONFIG: Final = LineConfig(
    rate_per_s=_ADMITTED / 2,  # a tick lets in what two seconds earn, at most
    capacity=_HUGE,
    heartbeat_timeout_ms=_TIMEOUT_MS,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What one way of keeping a line comes to."""

    bytes_each: float
    joins_per_s: float
    beats_per_s: float
    tick_ms: float
    reap_ms: float

    def print(self, what: str, waiting: int) -> None:
        """Print them in one line."""
        print(
            f"{what}, {waiting:,} waiting: {self.bytes_each:.1f} B each; "
            f"joins {self.joins_per_s:,.0f}/s, heartbeats {self.beats_per_s:,.0f}/s, "
            f"both {_AT_ONCE:,} a trip; tick of {_ADMITTED:,} {self.tick_ms:.2f} ms, "
            f"reap of {_SILENT:,} {self.reap_ms:.2f} ms"
        )


def main() -> None:
    """Measure both and print."""
    waiting = int(sys.argv[1]) if len(sys.argv) > 1 else _WAITING
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as server:
        client = redis.Redis.from_url(server.url)
        _measure_room(client, waiting)
        client.flushall()
        _measure_sorted_set(client, waiting)
        client.flushall()
        _measure_huge(client)
        client.close()


def _measure_room(client: redis.Redis, waiting: int) -> None:
    scripts.run(client, scripts.configure("sale", _CONFIG, now_ms=_START_MS))
    empty = _memory(client)

    def join() -> None:
        for start, end in _chunks(waiting):
            arrivals = [Arrival(0, os.urandom(8)) for _ in range(start, end)]
            scripts.run(client, scripts.join("sale", arrivals, now_ms=_START_MS))

    joins_per_s = waiting / _elapsed_s(join)
    each = (_memory(client) - empty) / waiting
    heard_ms = _START_MS + _TIMEOUT_MS // 2

    def beat() -> None:
        for start, end in _chunks(waiting - _SILENT):
            places = [Place(0, number) for number in range(start, end)]
            scripts.run(client, scripts.beat("sale", places, now_ms=heard_ms))

    beats_per_s = (waiting - _SILENT) / _elapsed_s(beat)
    late_ms = _START_MS + _TIMEOUT_MS + 10_000
    reap_ms = _busy_ms(client, lambda: scripts.run(client, scripts.reap("sale", now_ms=late_ms)))
    scripts.run(client, scripts.tick("sale", now_ms=late_ms))
    tick_ms = _busy_ms(
        client, lambda: scripts.run(client, scripts.tick("sale", now_ms=late_ms + 2_000))
    )
    assert int(client.hget(scripts.room_key("sale"), "h0")) >= _ADMITTED
    assert int(client.hget(scripts.room_key("sale"), "expired")) == _SILENT
    Figures(
        bytes_each=each,
        joins_per_s=joins_per_s,
        beats_per_s=beats_per_s,
        tick_ms=tick_ms,
        reap_ms=reap_ms,
    ).print("room", waiting)


def _measure_sorted_set(client: redis.Redis, waiting: int) -> None:
    """Keep two sorted sets, by arrival and by the last heartbeat: a member for each visitor."""
    names = [str(uuid.uuid4()) for _ in range(waiting)]
    empty = _memory(client)

    def join() -> None:
        for start, end in _chunks(waiting):
            some = names[start:end]
            pipeline = client.pipeline(transaction=False)
            pipeline.zadd("line", {name: start + n for n, name in enumerate(some)})
            pipeline.zadd("heard", dict.fromkeys(some, _START_MS))
            pipeline.execute()

    joins_per_s = waiting / _elapsed_s(join)
    each = (_memory(client) - empty) / waiting

    def beat() -> None:
        for start, end in _chunks(waiting - _SILENT):
            client.zadd("heard", dict.fromkeys(names[start:end], _START_MS + _TIMEOUT_MS // 2))

    beats_per_s = (waiting - _SILENT) / _elapsed_s(beat)

    def reap() -> None:
        silent = client.zrangebyscore("heard", "-inf", _START_MS + 10_000)
        client.zrem("line", *silent)
        client.zrem("heard", *silent)

    def tick() -> None:
        admitted = [name for name, _ in client.zpopmin("line", _ADMITTED)]
        client.zrem("heard", *admitted)

    reap_ms = _busy_ms(client, reap)
    Figures(
        bytes_each=each,
        joins_per_s=joins_per_s,
        beats_per_s=beats_per_s,
        tick_ms=_busy_ms(client, tick),
        reap_ms=reap_ms,
    ).print("sorted set", waiting)


def _measure_huge(client: redis.Redis) -> None:
    """Tick a line that was filled by hand."""
    scripts.run(client, scripts.configure("sale", _CONFIG, now_ms=_START_MS))
    client.hset(scripts.room_key("sale"), mapping={"t0": _HUGE, "w0": _HUGE, "joined0": _HUGE})
    scripts.run(client, scripts.tick("sale", now_ms=_START_MS))
    tick_ms = _busy_ms(
        client, lambda: scripts.run(client, scripts.tick("sale", now_ms=_START_MS + 2_000))
    )
    print(f"room, {_HUGE:,} waiting (filled by hand): tick of {_ADMITTED:,} {tick_ms:.2f} ms")


def _chunks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, _AT_ONCE):
        yield start, min(start + _AT_ONCE, count)


def _memory(client: redis.Redis) -> int:
    return int(client.info("memory")["used_memory"])


def _elapsed_s(work: Callable[[], object]) -> float:
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


def _busy_ms(client: redis.Redis, work: Callable[[], object]) -> float:
    """Return how long Redis itself was busy with some work."""
    client.config_resetstat()
    work()
    # What scripts call is counted once more for itself.
    outer = {"cmdstat_evalsha", "cmdstat_eval"}
    taken = client.info("commandstats")
    own = [stat for name, stat in taken.items() if name in outer] or list(taken.values())
    return sum(stat["usec"] for stat in own) / 1_000


if __name__ == "__main__":
    main()
