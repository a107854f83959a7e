"""What is done to many messages at once, and to which; no I/O, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

import msgspec

from models.confirmations import ChangedCountError, confirmation_text, read_confirmation
from models.errors import InvalidError
from models.events import Arrivals
from models.messages.filters import MessageFilter
from models.messages.rules import MessageState

_DUE_MAX_MS: Final = 31_536_000_000
MOVED_BY_HAND: Final = "moved by hand"

# Nobody holds these and they are not done.
RESTING: Final = frozenset({MessageState.QUEUED, MessageState.DELAYED, MessageState.DEAD})
_DONE: Final = frozenset({MessageState.ACKNOWLEDGED, MessageState.ARCHIVED})


class ActKind(StrEnum):
    """What is done; also the name of the event."""

    MOVE = "move"
    DELETE = "delete"
    REDRIVE = "redrive"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """What is done to messages in some states; those in others are left alone.

    They go to `state`, or keep theirs, and to `queue`, or stay in theirs. With `rate_per_s` each
    gets a due time, so many a second.
    """

    kind: ActKind
    sources: frozenset[MessageState]
    state: MessageState | None = None
    queue: str | None = None
    resets_attempts: bool = False
    rate_per_s: float | None = None
    reason: str = MOVED_BY_HAND  # of what is dead by it

    def within(self, states: Iterable[MessageState], name: str) -> "Act":
        """Return the act for messages in these states; raises InvalidError if none can be.

        `name` is the field that names them.
        """
        sources = self.sources & frozenset(states)
        if not sources:
            expected = ", ".join(sorted(self.sources))
            raise InvalidError({name: f"Expected one of {expected}"})
        return replace(self, sources=sources)

    @property
    def unless_said(self) -> "Act":
        """Return the act for a filter that names no state: what is held or done is left alone."""
        return replace(self, sources=self.sources & RESTING)

    def due_at_ms(self, start_ms: int, turn: int) -> int:
        """Return when the message of a turn, from 0, is due."""
        assert self.rate_per_s is not None
        return start_ms + int(turn * 1000 / self.rate_per_s)


def moving(*, queue: str | None, state: MessageState | None, reason: str | None) -> Act:
    """Return the act that moves messages; raises InvalidError that names what is wrong."""
    if queue is None and state is None:
        raise InvalidError({"queue": "Expected queue or to, or both"})
    if state not in {None, MessageState.QUEUED, MessageState.DEAD}:
        raise InvalidError({"to": "Expected queued or dead"})
    same = frozenset() if queue is not None or state is None else frozenset({state})
    return Act(
        kind=ActKind.MOVE,
        sources=RESTING - same,
        state=state,
        queue=queue,
        resets_attempts=state is MessageState.QUEUED,
        reason=reason or MOVED_BY_HAND,
    )


def deleting(*, force: bool) -> Act:
    """Return the act that deletes messages; what is held only by force."""
    held = {MessageState.PROCESSING} if force else frozenset[MessageState]()
    return Act(kind=ActKind.DELETE, sources=RESTING | _DONE | held)


def redriving(*, queue: str | None, resets_attempts: bool, rate_per_s: float | None) -> Act:
    """Return the act that lets dead messages wait again, at once or so many a second."""
    return Act(
        kind=ActKind.REDRIVE,
        sources=frozenset({MessageState.DEAD}),
        state=MessageState.QUEUED if rate_per_s is None else MessageState.DELAYED,
        queue=queue,
        resets_attempts=resets_attempts,
        rate_per_s=rate_per_s,
    )


def facts_of(act: Act, chosen: MessageFilter) -> dict[str, Any]:
    """Return what a filter asks for, as the audit log keeps it."""
    facts: dict[str, Any] = msgspec.to_builtins(chosen)
    asked = {name: value for name, value in facts.items() if value is not None}
    return {**asked, "status": sorted(act.sources)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How much one request does, and how much of it in one transaction."""

    messages_max: int
    rows_per_transaction: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """What somebody saw before it is done: the act, the filter, the moment and how many they were.

    What came later is not touched. `start_ms` is when the next message of a rate is due; 0 is now.
    """

    as_of_ms: int
    count: int
    start_ms: int = 0

    def text(self, act: Act, chosen: MessageFilter) -> str:
        """Return what the client is to bring."""
        return confirmation_text((self.as_of_ms, self.count, self.start_ms), act, chosen)


def confirmation_of(text: str, act: Act, chosen: MessageFilter) -> Confirmation:
    """Return what was confirmed; raises UnconfirmedError if that was something else."""
    as_of_ms, count, start_ms = read_confirmation(text, 3, act, chosen)
    return Confirmation(as_of_ms=as_of_ms, count=count, start_ms=start_ms)


def check_count(act: Act, confirmed: Confirmation, count: int) -> None:
    """Raise ChangedCountError unless about what was seen is still there.

    Dead messages lie still, so they must be as many. Others come and go by themselves: fewer are
    as good, more were not seen.
    """
    lie_still = act.sources == {MessageState.DEAD}
    if count > confirmed.count or (lie_still and count != confirmed.count):
        raise ChangedCountError(confirmed.count, count)


def check_rate(act: Act, count: int) -> None:
    """Raise InvalidError when the last message would not be due within a year."""
    if act.rate_per_s is not None and act.due_at_ms(0, count) > _DUE_MAX_MS:
        raise InvalidError({"rate_per_second": f"Expected {count} messages within a year"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What an act would do: to how many, some of them, and what confirms it."""

    count: int
    sample: list[tuple[MessageState, Mapping[str, Any]]]
    confirm: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What an act did: to how many; how many are left, and what confirms to go on with them."""

    count: int
    left: int = 0
    confirm: str | None = None
    skipped: Mapping[int, MessageState | None] = field(default_factory=dict)


@dataclass(slots=True)
class Batch:
    """What one transaction did: with which messages, and how many came to which lines.

    `first_ids` has the first of those in line, by queue: they are at old places.
    """

    act: Act
    ids: list[int] = field(default_factory=list)
    arrived: Arrivals = field(default_factory=dict)
    first_ids: Mapping[str, int] = field(default_factory=dict)
