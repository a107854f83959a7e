"""The pulse of every queue, minute by minute: how deep it is, what came, was done, and failed.

Each domain writes its own, in the meaning that docs/console.md gives, and reads nobody else's. What
is counted from what is stored is kept in place of what was kept before: a repeat changes nothing.
What is counted within the transaction that makes it happen is added.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlalchemy import Connection

from models.clock import iso_utc
from models.events import Event
from models.pulse import statements

# Of the stream that pages hear the pulse by.
DOMAIN: Final = "ops"
MINUTE: Final = "minute"
MINUTE_MS: Final = 60_000
# What a log tells of a minute may come in late.
LATE_MINUTES: Final = 2
KEPT_MS: Final = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What happened within a minute."""

    arrived: int = 0
    done: int = 0
    failed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How a domain is at a moment, and what is known of the minutes up to it, by their beginning.

    `oldest_at_ms` is since when the oldest waits; None when none does, or nobody knows.
    """

    depth: int
    oldest_at_ms: int | None
    counts: Mapping[int, Counts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Minute:
    """One minute of one domain; `depth` is None where nobody looked in it."""

    at_ms: int
    domain: str
    depth: int | None
    oldest_s: int | None
    counts: Counts


def minute_of(at_ms: int) -> int:
    """Return when the minute of a moment began."""
    return at_ms - at_ms % MINUTE_MS


def recent(now_ms: int) -> range:
    """Return the beginnings of the minutes of which something new may be known at a moment."""
    last = minute_of(now_ms)
    return range(last - LATE_MINUTES * MINUTE_MS, last + 1, MINUTE_MS)


def add(connection: Connection, domain: str, counts: Mapping[int, Counts]) -> None:
    """Add to what was counted, by the beginning of each minute."""
    if counts:
        connection.execute(statements.ADD, _rows(domain, counts))


def keep(connection: Connection, domain: str, seen: Seen, *, now_ms: int) -> list[Event]:
    """Store what was seen at this moment; return what to tell of it after the commit.

    The last look stands for its minute. What is older than a day goes.
    """
    if seen.counts:
        connection.execute(statements.PUT, _rows(domain, seen.counts))
    oldest = seen.oldest_at_ms
    connection.execute(
        statements.SEE,
        {
            "minute_ms": minute_of(now_ms),
            "domain": domain,
            "depth": seen.depth,
            "oldest_s": None if oldest is None else max(now_ms - oldest, 0) // 1000,
        },
    )
    connection.execute(statements.DELETE_OLD, {"domain": domain, "before_ms": now_ms - KEPT_MS})
    news = (each for each in since(connection, recent(now_ms).start) if each.domain == domain)
    return [Event(MINUTE, {"domain": domain, "minutes": [fact(each) for each in news]})]


def since(connection: Connection, since_ms: int) -> list[Minute]:
    """Return the minutes of all domains that begin from a moment on, by age."""
    return [
        Minute(
            at_ms=row.minute_ms,
            domain=row.domain,
            depth=row.depth,
            oldest_s=row.oldest_s,
            counts=Counts(arrived=row.arrived, done=row.done, failed=row.failed),
        )
        for row in connection.execute(statements.SINCE, {"since_ms": since_ms})
    ]


def fact(minute: Minute) -> dict[str, object]:
    """Return a minute as it is told."""
    return {
        "at": iso_utc(minute.at_ms),
        "depth": minute.depth,
        "oldest_seconds": minute.oldest_s,
        "in": minute.counts.arrived,
        "out": minute.counts.done,
        "failed": minute.counts.failed,
    }


def counted(found: Iterable[tuple[int, str, int]], now_ms: int) -> dict[int, Counts]:
    """Return what happened in the recent minutes, from (minute, name of a count, number)."""
    numbers: dict[int, dict[str, int]] = {at_ms: {} for at_ms in recent(now_ms)}
    for at_ms, name, number in found:
        if at_ms in numbers:
            numbers[at_ms][name] = numbers[at_ms].get(name, 0) + number
    return {at_ms: Counts(**each) for at_ms, each in numbers.items()}


def _rows(domain: str, counts: Mapping[int, Counts]) -> list[dict[str, object]]:
    return [
        {
            "minute_ms": at_ms,
            "domain": domain,
            "arrived": each.arrived,
            "done": each.done,
            "failed": each.failed,
        }
        for at_ms, each in sorted(counts.items())
    ]
