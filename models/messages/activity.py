"""What requests ask of the history: what happened, to one message or to all, and who did what."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from sqlalchemy import Connection

from models.database import Database
from models.messages import facts, lives, watching
from models.messages.anomalies import Anomaly, Thresholds
from models.messages.histories import (
    MINUTE_MS,
    Line,
    Row,
    Wanted,
    Work,
    WorkKey,
    name_of_consumer,
)
from models.messages.lives import Happening, Place
from models.messages.rules import MessageNotFoundError, MessageState, public_id
from models.messages.spreads import percentile_ms
from models.messages.statements import history, work

_GAPS_MAX: Final = 20
_MINUTES_READ_MAX: Final = 50_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How far the history goes."""

    begins_at_ms: int | None
    read_until_ms: int | None  # the moment of the entry read last
    is_behind: bool | None  # None: nobody knows, Redis is away


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Lines of the history, newest first, and where to go on."""

    lines: list[Line]
    next_place: tuple[int, int] | None
    reading: Reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What happened to one message, oldest first. `place` is None for one that is gone."""

    message_id: int
    state: MessageState | None
    place: Place | None
    happenings: list[Happening]
    next_id: int | None
    is_complete: bool | None  # None: this is not the whole of it
    gaps: list[Row]
    reading: Reading


@dataclass(slots=True, kw_only=True)
class Consumer:
    """What a consumer did in a time; `consumer_id` is "" for all without a name of their own."""

    consumer_id: str
    total: Work = field(default_factory=Work)
    held: int = 0
    # By queue and type, "" for none: what was done, and how many are held.
    kinds: dict[tuple[str, str], tuple[Work, int]] = field(default_factory=dict)

    @property
    def mean_ms(self) -> int | None:
        """Return how long it takes from lease to ack, in the mean."""
        return mean_ms(self.total)

    @property
    def p95_ms(self) -> int | None:
        """Return within how long 95 of 100 are acknowledged, within 4.5 %."""
        return percentile_ms(self.total.spread, 95)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumers:
    """Who did what in a time, the last seen first."""

    since_ms: int
    until_ms: int
    consumers: list[Consumer]
    has_more: bool
    gaps: list[Row]
    reading: Reading


class Activity:
    """The history of messages as requests see it.

    `newest_entry` asks Redis for the id of the last entry of the stream: "" for none, None when
    Redis does not answer.
    """

    def __init__(
        self,
        database: Database,
        newest_entry: Callable[[], Awaitable[str | None]],
        thresholds: Thresholds,
    ) -> None:
        self._database: Final = database
        self._newest_entry: Final = newest_entry
        self._thresholds: Final = thresholds

    async def page(self, wanted: Wanted, *, before: tuple[int, int] | None, count: int) -> Page:
        """Return up to `count` lines before a place, newest first."""
        lines, next_place = await self._database.read(
            lambda connection: history.page(connection, wanted, before=before, count=count)
        )
        return Page(lines=lines, next_place=next_place, reading=await self._reading())

    async def life(self, message_id: int, *, after_id: int, count: int) -> Life:
        """Return what happened to a message, oldest first, from behind a line.

        Raises MessageNotFoundError when neither its history nor a table knows it.
        """
        reading = await self._reading()

        def read(connection: Connection) -> Life:
            found, is_archived = history.place_of(connection, message_id)
            place = None if found is None else _place(found._mapping)  # noqa: SLF001 -- public
            lines = history.of_message(connection, message_id, after_id=after_id, count=count + 1)
            if place is None and not lines and not after_id:
                raise MessageNotFoundError(public_id(message_id))
            next_id = lines[count - 1].id if len(lines) > count else None
            rows = lives.in_order([line.row for line in lines[:count]])
            happenings = [lives.happening(row) for row in rows]
            if not after_id:
                happenings = lives.beginning(rows, place) + happenings
            if next_id is None:
                happenings += lives.end(rows, place)
            is_whole = not after_id and next_id is None
            moments = [each.at_ms for each in happenings if each.at_ms is not None]
            return Life(
                message_id=message_id,
                state=_state(place, is_archived=is_archived),
                place=place,
                happenings=happenings,
                next_id=next_id,
                is_complete=lives.is_complete(rows, place) if is_whole else None,
                gaps=history.gaps(
                    connection,
                    since_ms=min(moments, default=0),
                    until_ms=max(moments, default=0) if _is_over(place) else None,
                    count=_GAPS_MAX,
                ),
                reading=reading,
            )

        return await self._database.read(read)

    async def consumers(self, *, since_ms: int, until_ms: int, count: int) -> Consumers:
        """Return what the consumers last seen did in the minutes that begin within a time."""
        since_ms -= since_ms % MINUTE_MS
        reading = await self._reading()

        def read(connection: Connection) -> Consumers:
            names = work.consumers(
                connection, since_ms=since_ms, until_ms=until_ms, count=count + 1
            )
            held = work.held_now(connection)
            kept = names[:count]
            found = {name: Consumer(consumer_id=name) for name in kept}
            sums = work.work_between(
                connection,
                since_ms=since_ms,
                until_ms=until_ms,
                names=kept,
                rows_max=_MINUTES_READ_MAX,
            )
            _add_work(found, sums)
            _add_held(found, held, count)
            return Consumers(
                since_ms=since_ms,
                until_ms=until_ms,
                consumers=list(found.values()),
                has_more=len(names) > count,
                gaps=history.gaps(
                    connection, since_ms=since_ms, until_ms=until_ms, count=_GAPS_MAX
                ),
                reading=reading,
            )

        return await self._database.read(read)

    async def anomalies(self, *, now_ms: int) -> tuple[list[Anomaly], Reading]:
        """Return what is wrong now, by cheap reads, and how far the history goes."""
        reading = await self._reading()
        found = await self._database.read(
            lambda connection: watching.look(connection, self._thresholds, now_ms=now_ms)
        )
        return found, reading

    async def _reading(self) -> Reading:
        newest = await self._newest_entry()
        position, begins_at_ms = await self._database.read(
            lambda connection: (
                history.read_position(connection, facts.DOMAIN),
                history.begins_at_ms(connection),
            )
        )
        entry_id = position.rpartition(".")[0]
        return Reading(
            begins_at_ms=begins_at_ms,
            read_until_ms=int(entry_id.partition("-")[0]) if entry_id else None,
            is_behind=None if newest is None else newest not in {"", entry_id},
        )


def mean_ms(done: Work) -> int | None:
    """Return how long it took from lease to ack, in the mean; None of nothing."""
    count = sum(done.spread.values())
    return round(done.held_ms_sum / count) if count else None


def _add_work(found: Mapping[str, Consumer], sums: Mapping[WorkKey, Work]) -> None:
    for (_, name, queue, type_), done in sums.items():
        consumer = found[name]
        consumer.total.add(done)
        of_kind, held = consumer.kinds.get((queue, type_), (Work(), 0))
        of_kind.add(done)
        consumer.kinds[queue, type_] = of_kind, held


def _add_held(
    found: dict[str, Consumer], held: list[tuple[str, str, str, int]], count: int
) -> None:
    """Add what is held now, also by those of whom nothing else is known."""
    for consumer_id, queue, type_, number in held:
        name = name_of_consumer(consumer_id)
        if name not in found:
            if len(found) >= count:
                continue
            found[name] = Consumer(consumer_id=name)
        consumer = found[name]
        consumer.held += number
        of_kind, before = consumer.kinds.get((queue, type_), (Work(), 0))
        consumer.kinds[queue, type_] = of_kind, before + number


def _is_over(place: Place | None) -> bool:
    """Say whether nothing more happens by itself."""
    return place is None or place.state in {MessageState.ACKNOWLEDGED, MessageState.DEAD}


def _state(place: Place | None, *, is_archived: bool) -> MessageState | None:
    if is_archived:
        return MessageState.ARCHIVED
    return None if place is None else place.state


def _place(row: Mapping[Any, Any]) -> Place:
    names = {each.name for each in fields(Place)}
    known = {name: value for name, value in row.items() if name in names}
    return Place(**{**known, "state": MessageState(known["state"])})
