"""One message's life: its history, and what its table knows where the history does not.

The history may be behind, cut or forgotten; where a message is and what was noted with it is
always true. No I/O, no clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.messages.histories import HistoryEvent, Row
from models.messages.rules import LAPSED, MessageState


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a message is, and what its table knows of it; moments are Unix milliseconds."""

    state: MessageState
    queue: str
    type: str | None
    attempt_count: int
    created_at_ms: int
    last_error: str | None = None
    consumer_id: str | None = None
    leased_at_ms: int | None = None
    lease_until_ms: int | None = None
    lease_length_ms: int | None = None
    acknowledged_at_ms: int | None = None
    died_at_ms: int | None = None
    reason: str | None = None
    due_at_ms: int | None = None

    @property
    def was_touched(self) -> bool:
        """Say whether the lease in force was extended."""
        if self.leased_at_ms is None or self.lease_length_ms is None:
            return False
        return self.lease_until_ms != self.leased_at_ms + self.lease_length_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """What happened; from its table when `is_derived`, which may not know the moment."""

    event: str
    at_ms: int | None
    consumer_id: str | None = None
    attempt: int | None = None
    held_ms: int | None = None
    detail: str | None = None
    error: str | None = None
    is_derived: bool = False


def happening(row: Row) -> Happening:
    """Return a line of the history as what happened."""
    return Happening(
        event=row.event,
        at_ms=row.at_ms,
        consumer_id=row.consumer_id,
        attempt=row.attempt,
        held_ms=row.held_ms,
        detail=row.detail,
    )


def beginning(rows: Sequence[Row], place: Place | None) -> list[Happening]:
    """Return how a message came in, if its history does not say so."""
    if place is None or any(row.event == HistoryEvent.ENQUEUED for row in rows):
        return []
    return [Happening(event=HistoryEvent.ENQUEUED, at_ms=place.created_at_ms, is_derived=True)]


def end(rows: Sequence[Row], place: Place | None) -> list[Happening]:
    """Return what a message's table knows that is newer than its history."""
    if place is None:
        is_told = not rows or rows[-1].event == HistoryEvent.DELETED
        return [] if is_told else [_untimed(HistoryEvent.DELETED, rows)]
    if place.state is MessageState.PROCESSING:
        return _since(rows, HistoryEvent.LEASED, place.leased_at_ms, place)
    if place.acknowledged_at_ms is not None:
        return _since(rows, HistoryEvent.ACKNOWLEDGED, place.acknowledged_at_ms, place)
    if place.state is MessageState.DEAD:
        return _since(rows, HistoryEvent.DEAD, place.died_at_ms, place)
    if rows and rows[-1].leased_at_ms is not None:  # it waits, so its lease is over
        event = HistoryEvent.LAPSED if place.last_error == LAPSED else HistoryEvent.GIVEN_BACK
        return [_untimed(event, rows, consumer_id=rows[-1].consumer_id, error=place.last_error)]
    return _moved(rows, place)


def in_order(rows: Sequence[Row]) -> list[Row]:
    """Return the lines of a message as they happened.

    Two processes may tell the stream of one message in the wrong order, within milliseconds.
    """
    first = [row for row in rows if row.event == HistoryEvent.ENQUEUED]
    others = [row for row in rows if row.event != HistoryEvent.ENQUEUED]
    return [*first, *sorted(others, key=lambda row: row.at_ms)]


def is_complete(rows: Sequence[Row], place: Place | None) -> bool:
    """Say whether the history knows every lease of a message.

    A lease that was undone, since its consumer had hung up, is no attempt and in no history.
    """
    if place is None:
        return bool(rows) and rows[0].event == HistoryEvent.ENQUEUED and not end(rows, place)
    leases = sum(row.event == HistoryEvent.LEASED for row in rows)
    return leases >= place.attempt_count and not end(rows, place) and not beginning(rows, place)


def _moved(rows: Sequence[Row], place: Place) -> list[Happening]:
    """Return what became of a message that waits: somebody acted on it."""
    if rows and rows[-1].event == HistoryEvent.DEAD:
        return [_untimed(HistoryEvent.REDRIVEN, rows)]
    if rows and rows[-1].queue not in {None, place.queue}:
        return [_untimed(HistoryEvent.MOVED, rows)]
    return []


def _untimed(
    event: HistoryEvent,
    rows: Sequence[Row],
    *,
    consumer_id: str | None = None,
    error: str | None = None,
) -> Happening:
    """Return what must have happened, though no table says when."""
    return Happening(
        event=event,
        at_ms=None,
        attempt=rows[-1].attempt,
        consumer_id=consumer_id,
        error=error,
        is_derived=True,
    )


def _since(
    rows: Sequence[Row], event: HistoryEvent, at_ms: int | None, place: Place
) -> list[Happening]:
    """Return what happened at a moment, unless the history has it."""
    if any(row.event == event and row.at_ms >= (at_ms or 0) for row in rows):
        return []
    return [
        Happening(
            event=event,
            at_ms=at_ms,
            consumer_id=place.consumer_id,
            attempt=place.attempt_count,
            error=place.reason,
            is_derived=True,
        )
    ]
