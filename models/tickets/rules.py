"""What tickets are: words, values, states, and who is called next; no I/O, no clock."""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, TypeVar

# Who was called so often and did not come may be counted as absent.
CALLS_BEFORE_NO_SHOW: Final = 3
# The first number of a day: from here on a number has the three digits that displays show.
NUMBER_FIRST_DEFAULT: Final = 101
# Under ageing, somebody with priority stands where one stands who came this much earlier.
AGEING_HEAD_START_MS: Final = 900_000
NOTES_CHARACTERS_MAX: Final = 2_000


class Priority(StrEnum):
    """Who somebody is; `priority` and `elderly` stand in one line."""

    NORMAL = "normal"
    PRIORITY = "priority"
    ELDERLY = "elderly"


class Side(StrEnum):
    """One of the two lines in front of a counter."""

    NORMAL = "normal"
    PREFERRED = "preferred"


class Policy(StrEnum):
    """How the two lines in front of a counter become one."""

    INTERLEAVE = "interleave"  # one of each in turn
    STRICT = "strict"  # the preferred line first
    AGEING = "ageing"  # by age, the preferred with a head start
    FIFO = "fifo"  # by age alone


class Status(StrEnum):
    """How far a ticket is."""

    WAITING = "waiting"
    CALLED = "called"
    SERVING = "serving"
    COMPLETED = "completed"
    CANCELLED = "cancelled"


class CompletionReason(StrEnum):
    """What came of it."""

    SUCCESS = "success"
    DOCUMENT_MISSING = "document_missing"
    CUSTOMER_ABSENT = "customer_absent"
    HALL_CLOSED = "hall_closed"  # by the house itself: its day is over


class PrintState(StrEnum):
    """What became of a ticket's paper."""

    PRINTED = "printed"
    FAILED = "failed"


class CounterStatus(StrEnum):
    """Whether a counter takes people: `offline` is closed."""

    ACTIVE = "active"
    PAUSED = "paused"
    OFFLINE = "offline"


class Numbering(StrEnum):
    """Who counts: each counter, or the hall as one."""

    COUNTER = "counter"
    HALL = "hall"


# Called to called is a recall. Everything else has an act of its own: park, return, transfer.
TRANSITIONS: Final[Mapping[Status, tuple[Status, ...]]] = {
    Status.WAITING: (Status.CALLED, Status.CANCELLED),
    Status.CALLED: (Status.SERVING, Status.CANCELLED, Status.CALLED),
    Status.SERVING: (Status.COMPLETED, Status.CANCELLED),
    Status.COMPLETED: (),
    Status.CANCELLED: (),
}
OPEN: Final = (Status.WAITING, Status.CALLED, Status.SERVING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """A hall with its counters; `version` grows with each change of anything in it."""

    id: int
    name: str
    timezone: str
    reset_minute: int  # of the local day: when numbers begin anew
    numbering: Numbering
    number_first: int  # of a hall that counts as one
    # For each day from Monday: from and until, in minutes of the local day; None: always open.
    opening: tuple[tuple[tuple[int, int], ...], ...] | None
    version: int
    changed_at_ms: int
    created_at_ms: int

    @property
    def key(self) -> str:
        """Return what no branch of another database on the same Redis is called."""
        return f"{self.id}:{self.created_at_ms}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counter:
    """Where people are served, one after the other."""

    id: int
    branch_id: int
    name: str
    status: CounterStatus
    pause_reason: str | None
    paused_until_ms: int | None  # as announced; the pause ends when somebody ends it
    policy: Policy
    turn: Side | None  # whose turn it is under interleave; None: of who came first
    number_first: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """What people come for; no counters: any counter does it."""

    id: int
    name: str
    service_min: int  # how long one takes, before anything was measured
    is_active: bool
    counter_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Staff:
    """Who acts at a counter: a user, or a program by its key."""

    user_id: int | None
    username: str
    full_name: str = ""
    counter_id: int | None = None
    is_bound: bool = False  # to the counter

    def may_act_at(self, counter_id: int) -> bool:
        """Say whether it may do something at a counter."""
        return not self.is_bound or self.counter_id == counter_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One number and the person behind it."""

    id: int
    public_id: str  # nobody can guess it: who knows it holds the paper
    branch_id: int
    counter_id: int
    procedure_id: int | None
    procedure_name: str | None
    business_day: str
    number: int
    priority: Priority
    status: Status
    is_parked: bool
    queued_at_ms: int  # its place in the line
    created_at_ms: int
    updated_at_ms: int
    called_at_ms: int | None
    served_at_ms: int | None
    completed_at_ms: int | None
    service_s: int | None
    call_count: int
    notes: str | None
    completion_reason: CompletionReason | None
    updated_by: Staff | None
    service_min: int | None  # of its procedure
    estimated_min: int
    estimated_low_min: int | None = None
    estimated_high_min: int | None = None
    drained_min: float | None = None  # the estimate before it was calibrated
    ahead: int | None = None  # how many were called before, when it was taken
    first_called_at_ms: int | None = None
    print_state: PrintState | None = None
    rating: int | None = None  # from 1 to 5; None: unrated


class AnnouncementType(StrEnum):
    """What somebody says to a hall, beside calls."""

    SYSTEM_MESSAGE = "system-message"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True, kw_only=True)
class Announcement:
    """What is said to a hall, and how long displays show it."""

    type: AnnouncementType
    message: str
    message_en: str | None
    priority: str
    auto_dismiss_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTicket:
    """What somebody asks for at a kiosk: a counter, a procedure, or both."""

    counter_id: int | None
    procedure_id: int | None = None
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """Where an officer moves a ticket."""

    status: Status
    notes: str | None = None
    completion_reason: CompletionReason | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """How many were served and how long that took."""

    count: int = 0
    seconds: int = 0

    def __add__(self, other: "Served") -> "Served":
        return Served(count=self.count + other.count, seconds=self.seconds + other.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Quantiles of log((real + 1) / (drained + 1)) of estimates, in minutes."""

    low: float
    middle: float
    high: float
    outcomes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """A counter with everybody at it: who is there, and who waits, in no order."""

    counter: Counter
    present: tuple[Ticket, ...] = ()  # called or being served
    waiting: tuple[Ticket, ...] = ()
    parked: tuple[Ticket, ...] = ()
    # What was served there today, by procedure.
    served: Mapping[int | None, Served] = field(default_factory=dict)
    # How far estimates were off in the branch lately, by the smallest number ahead of a class.
    calibrations: Mapping[int, Calibration] = field(default_factory=dict)

    @property
    def current(self) -> Ticket | None:
        """Return who was called last of those who are there."""
        return max(self.present, key=lambda each: (each.called_at_ms or 0, each.id), default=None)

    @property
    def line(self) -> list[Ticket]:
        """Return who waits, in the order in which they are called."""
        return call_order(self.waiting, self.counter.policy, turn=self.counter.turn)


class InLine(Protocol):
    """Whoever stands in a line."""

    @property
    def id(self) -> int:
        """Return what tells two who came at the same time apart."""

    @property
    def queued_at_ms(self) -> int:
        """Return since when it stands there."""

    @property
    def priority(self) -> Priority:
        """Return who it is."""


T = TypeVar("T", bound=InLine)


def side_of(priority: Priority) -> Side:
    """Return the line in which somebody stands."""
    return Side.NORMAL if priority is Priority.NORMAL else Side.PREFERRED


def call_order(waiting: Iterable[T], policy: Policy, *, turn: Side | None) -> list[T]:
    """Return who waits in the order in which they are called, if nobody else comes.

    Each of the two lines keeps its own order, by age. What is called next is the first.
    """
    by_age = sorted(waiting, key=lambda each: (each.queued_at_ms, each.id))
    if policy is Policy.FIFO:
        return by_age
    if policy is Policy.AGEING:
        return sorted(by_age, key=_aged_ms)
    sides: dict[Side, list[T]] = {Side.NORMAL: [], Side.PREFERRED: []}
    for each in by_age:
        sides[side_of(each.priority)].append(each)
    if policy is Policy.STRICT:
        return sides[Side.PREFERRED] + sides[Side.NORMAL]
    first = turn if turn is not None or not by_age else side_of(by_age[0].priority)
    return _interleave(sides, first or Side.NORMAL)


def turn_after(called: Priority, others: Iterable[InLine]) -> Side | None:
    """Return whose turn it is after a call: the other line's, if somebody waits there."""
    other = _other(side_of(called))
    return other if any(side_of(each.priority) is other for each in others) else None


def check_text(text: str, *, characters_max: int) -> str | None:
    """Return what is wrong with a name or a note, None if nothing is."""
    if len(text) > characters_max:
        return f"Expected at most {characters_max} characters"
    # No database stores them, and no name has them.
    if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
        return "Expected text"
    return None


def fold(text: str) -> str:
    """Return a text as a search sees it: without accents, in lower case, single spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold().replace("đ", "d"))
    letters = "".join(each for each in plain if not unicodedata.combining(each))
    return " ".join(letters.split())


def number_text(number: int) -> str:
    """Return a number as displays show it, with three digits at least."""
    return f"{number:03d}"


def _interleave(sides: Mapping[Side, Sequence[T]], first: Side) -> list[T]:
    one, two = sides[first], sides[_other(first)]
    pairs = min(len(one), len(two))
    mixed = [each for pair in zip(one[:pairs], two[:pairs], strict=True) for each in pair]
    return [*mixed, *one[pairs:], *two[pairs:]]


def _aged_ms(each: InLine) -> tuple[int, int]:
    is_preferred = side_of(each.priority) is Side.PREFERRED
    return each.queued_at_ms - AGEING_HEAD_START_MS * is_preferred, each.id


def _other(side: Side) -> Side:
    return Side.PREFERRED if side is Side.NORMAL else Side.NORMAL
