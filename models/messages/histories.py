"""What happened to messages, told by events in the order of their stream; no I/O, no clock.

An event names little: who held a message that was given back, and for how long, is known from what
happened to it before. `Ledger` puts the two together.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

import msgspec

from models.errors import NotFoundError
from models.events import Event
from models.messages.rules import internal_id
from models.messages.spreads import step_of

MINUTE_MS: Final = 60_000
# What a consumer said is kept with the message; the history repeats its beginning.
_TEXT_CHARACTERS_MAX: Final = 500
_NAME_CHARACTERS_MAX: Final = 32
# Names that the server gives to those who say none, a new one for each request.
_UNNAMED: Final = re.compile(r"consumer_[0-9a-f]{8}")
_encode: Final = msgspec.json.Encoder().encode


class HistoryEvent(StrEnum):
    """What happens to a message; events with other names keep theirs."""

    ENQUEUED = "enqueued"
    LEASED = "leased"
    ACKNOWLEDGED = "acknowledged"
    GIVEN_BACK = "given_back"
    LAPSED = "lapsed"
    DEAD = "dead"
    EDITED = "edited"
    DELETED = "deleted"
    MOVED = "moved"
    REDRIVEN = "redriven"
    GAP = "gap"  # of no message: events were lost here


_NAMES: Final[Mapping[str, str]] = {
    "enqueue": HistoryEvent.ENQUEUED,
    "dequeue": HistoryEvent.LEASED,
    "ack": HistoryEvent.ACKNOWLEDGED,
    "nack": HistoryEvent.GIVEN_BACK,
    "expire": HistoryEvent.LAPSED,
    "edit": HistoryEvent.EDITED,
    "delete": HistoryEvent.DELETED,
    "move": HistoryEvent.MOVED,
    "redrive": HistoryEvent.REDRIVEN,
}
# How a lease ends, with the name of its number in Work.
_ENDS: Final[Mapping[str, str]] = {
    HistoryEvent.ACKNOWLEDGED: "acknowledged",
    HistoryEvent.GIVEN_BACK: "given_back",
    HistoryEvent.LAPSED: "lapsed",
}
_FAILURES: Final = frozenset({HistoryEvent.GIVEN_BACK, HistoryEvent.LAPSED})
# With these a message no longer fails.
_ENDS_FAILING: Final = frozenset(
    {
        *(HistoryEvent.ACKNOWLEDGED, HistoryEvent.DEAD),
        *(HistoryEvent.DELETED, HistoryEvent.REDRIVEN),
    }
)
_HIDDEN: Final = frozenset({"id", "consumer_id", "type"})


@dataclass(frozen=True, slots=True)
class Told:
    """One event as it was read: its place `<entry>.<index>`, its moment, and what it says."""

    offset: str
    at_ms: int
    event: Event


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a message before an event."""

    queue: str | None = None
    type: str | None = None
    attempt: int | None = None  # None: some of its life was missed
    consumer_id: str | None = None  # who has it, or had it last
    leased_at_ms: int | None = None  # None: nobody holds it
    acknowledged_by: str | None = None  # as its table says


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the history; `detail` is JSON."""

    at_ms: int
    event: str
    message_id: int | None
    queue: str | None = None
    type: str | None = None
    attempt: int | None = None
    consumer_id: str | None = None
    leased_at_ms: int | None = None  # since when it is held after this; None: it is not
    held_ms: int | None = None  # how long it was, of what ended a lease
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the history as it is stored."""

    id: int
    row: Row


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which lines: all that is given must fit; moments are Unix milliseconds."""

    message_id: int | None = None
    type: str | None = None
    queue: str | None = None
    consumer_id: str | None = None
    event: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(slots=True)
class Work:
    """What a consumer did with messages of one queue and type within a minute."""

    leased: int = 0
    acknowledged: int = 0
    given_back: int = 0
    lapsed: int = 0
    held_ms_sum: int = 0  # from lease to ack, of those whose lease is known
    last_at_ms: int = 0
    spread: dict[int, int] = field(default_factory=dict)  # the same, by step: see spreads.py

    def add(self, other: "Work") -> None:
        """Add what was done besides."""
        self.leased += other.leased
        self.acknowledged += other.acknowledged
        self.given_back += other.given_back
        self.lapsed += other.lapsed
        self.held_ms_sum += other.held_ms_sum
        self.last_at_ms = max(self.last_at_ms, other.last_at_ms)
        for step, count in other.spread.items():
            self.spread[step] = self.spread.get(step, 0) + count


# A minute, a consumer ("": without a name of its own), a queue and a type ("" for none).
WorkKey = tuple[int, str, str, str]


@dataclass(slots=True, kw_only=True)
class Failing:
    """How often a message failed since it last did not; `is_over`: what was before is void."""

    queue: str | None = None
    type: str | None = None
    failures: int = 0
    first_at_ms: int = 0
    last_at_ms: int = 0
    consumer_id: str | None = None
    is_over: bool = False


class Ledger:
    """Turns events, in their order, into lines of the history and what is summed of them."""

    def __init__(self, known: Mapping[int, Known]) -> None:
        self._known: Final = dict(known)
        self.rows: Final[list[Row]] = []
        self.work: Final[dict[WorkKey, Work]] = {}
        self.failing: Final[dict[int, Failing]] = {}

    def note_gap(self, *, at_ms: int, **detail: object) -> None:
        """Note that events from `at_ms` on were lost."""
        self.rows.append(
            Row(
                at_ms=at_ms,
                event=HistoryEvent.GAP,
                message_id=None,
                detail=_encode(detail).decode(),
            )
        )

    def note(self, told: Told) -> None:
        """Note one event."""
        event = event_of(told.event.name)
        message_id = message_id_of(told.event)
        before = self._known.get(message_id, Known()) if message_id is not None else Known()
        now = _after(before, event, told)
        if message_id is not None:
            self._known[message_id] = now
        held_ms = None
        if event in _ENDS and before.leased_at_ms is not None:
            held_ms = max(0, told.at_ms - before.leased_at_ms)
        row = Row(
            at_ms=told.at_ms,
            event=event,
            message_id=message_id,
            queue=now.queue,
            type=now.type,
            attempt=now.attempt,
            consumer_id=None if event == HistoryEvent.ENQUEUED else now.consumer_id,
            leased_at_ms=now.leased_at_ms,
            held_ms=held_ms,
            detail=_detail(told.event),
        )
        self.rows.append(row)
        self._sum(row)
        if message_id is not None:
            self._watch(message_id, row)

    def _sum(self, row: Row) -> None:
        if row.event != HistoryEvent.LEASED and row.event not in _ENDS:
            return
        consumer = name_of_consumer(row.consumer_id)
        minute_ms = row.at_ms - row.at_ms % MINUTE_MS
        work = self.work.setdefault((minute_ms, consumer, row.queue or "", row.type or ""), Work())
        work.last_at_ms = max(work.last_at_ms, row.at_ms)
        if row.event == HistoryEvent.LEASED:
            work.leased += 1
            return
        ended = _ENDS[row.event]
        setattr(work, ended, getattr(work, ended) + 1)
        if row.event == HistoryEvent.ACKNOWLEDGED and row.held_ms is not None:
            work.held_ms_sum += row.held_ms
            step = step_of(row.held_ms)
            work.spread[step] = work.spread.get(step, 0) + 1

    def _watch(self, message_id: int, row: Row) -> None:
        if row.event in _ENDS_FAILING:
            self.failing[message_id] = Failing(is_over=True)
        elif row.event in _FAILURES:
            failing = self.failing.setdefault(message_id, Failing())
            failing.failures += 1
            failing.first_at_ms = failing.first_at_ms or row.at_ms
            failing.last_at_ms = row.at_ms
            failing.queue, failing.type = row.queue, row.type
            failing.consumer_id = row.consumer_id


def event_of(name: str) -> str:
    """Return what an event of the stream is called in the history."""
    return _NAMES.get(name, name[:_NAME_CHARACTERS_MAX])


def message_id_of(event: Event) -> int | None:
    """Return which message an event is about, if any."""
    public = event.data.get("id")
    if not isinstance(public, str):
        return None
    try:
        return internal_id(public)
    except NotFoundError:
        return None


def gap_end_ms(gap: Row) -> int:
    """Return up to when events are missing."""
    return int(msgspec.json.decode(gap.detail or "{}").get("until_ms", gap.at_ms))


def name_of_consumer(consumer_id: str | None) -> str:
    """Return under which name a consumer's work is summed: "" for all who gave none."""
    if consumer_id is None or _UNNAMED.fullmatch(consumer_id):
        return ""
    return consumer_id


def _after(before: Known, event: str, told: Told) -> Known:
    """Return what is known of a message after an event."""
    data = told.event.data
    if event == HistoryEvent.ENQUEUED:
        type_ = data.get("type")
        return replace(before, type=type_ if isinstance(type_, str) else None, attempt=0)
    if event == HistoryEvent.LEASED:
        attempt = None if before.attempt is None else before.attempt + 1
        return replace(
            before,
            attempt=attempt,
            consumer_id=str(data.get("consumer_id")),
            leased_at_ms=told.at_ms,
        )
    if event in _ENDS and before.leased_at_ms is None:
        # Whoever had it before did not end this one.
        is_acked = event == HistoryEvent.ACKNOWLEDGED
        return replace(before, consumer_id=before.acknowledged_by if is_acked else None)
    if event in {HistoryEvent.MOVED, HistoryEvent.REDRIVEN}:
        return _after_move(before, data)
    if event in _ENDS or event in _ENDS_FAILING:
        return replace(before, leased_at_ms=None)
    return before


def _after_move(before: Known, data: Mapping[str, object]) -> Known:
    """Return what is known of a message that was moved, which is out of its lease by that."""
    queue = data.get("queue")
    return replace(
        before,
        queue=queue if isinstance(queue, str) else before.queue,
        leased_at_ms=None if "status" in data else before.leased_at_ms,
        attempt=0 if data.get("attempt_count") == 0 else before.attempt,
    )


def _detail(event: Event) -> str | None:
    detail = {
        name: value[:_TEXT_CHARACTERS_MAX] if isinstance(value, str) else value
        for name, value in event.data.items()
        if name not in _HIDDEN and value is not None
    }
    return _encode(detail).decode() if detail else None
