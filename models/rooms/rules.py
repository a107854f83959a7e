"""What a room's line is made of: lanes, numbers, places; what scripts must know and answer.

A lane is a priority, 3 before 2 before 1 before 0. Numbers are dense within a lane and never given
out twice. All moments are Unix milliseconds; those that scripts answer are of the clock of Redis.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from msgspec import Struct

from models.errors import UnavailableError

DOMAIN: Final = "rooms"
LANES: Final = (0, 1, 2, 3)
# One bitmap of 8 KiB: what a script reads and writes as one piece.
SEGMENT_NUMBERS: Final = 65_536


class RoomStatus(StrEnum):
    """What a room does: lets in and takes in, only takes in, or neither."""

    ACTIVE = "active"
    PAUSED = "paused"  # joins go on, nobody is admitted
    MAINTENANCE = "maintenance"  # nobody joins, nobody is admitted, nobody expires
    CLOSED = "closed"  # nobody joins, nobody is admitted, who is silent expires


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where somebody stands: a number within a lane; the visitor's for good."""

    lane: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LineConfig:
    """What scripts must know of a room; SQL holds the rest.

    `line_max` 0 is no limit. While `draw` is set nobody is admitted until the draw was made.
    `created_at_ms` tells one life of a room's name from the next; 0 is one that is in no database.
    """

    status: RoomStatus = RoomStatus.ACTIVE
    rate_per_s: float
    capacity: int
    line_max: int = 0
    claim_ms: int = 120_000
    heartbeat_timeout_ms: int = 60_000
    opens_at_ms: int = 0
    draw: bool = False
    created_at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody who wants to join a lane; `digest` has 8 bytes, none for one whom nobody knows."""

    lane: int = 0
    digest: bytes = b""


class Entry(StrEnum):
    """What became of an arrival."""

    JOINED = "joined"
    KNOWN = "known"  # was here: waits, has a slot kept, or is inside
    FULL = "full"
    MAINTENANCE = "maintenance"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Joined:
    """What an arrival got: a place unless it was refused, and a position when the place is new."""

    entry: Entry
    place: Place | None = None
    position: int = 0
    length: int = 0  # how many wait after the whole batch
    at_ms: int = 0


class State(StrEnum):
    """Where a place stands."""

    WAITING = "waiting"
    ADMITTED = "admitted"  # may begin a session, or has begun one: `claim` has the last word
    GONE = "gone"  # left; maybe in limbo after a loss: `present` has the last word
    EXPIRED = "expired"  # was silent, or did not come when it was admitted
    UNKNOWN = "unknown"  # never given out, as far as this is known


class Standing(Struct, frozen=True):
    """A place as of one moment: `position` 1 is next, 0 not waiting; `length` of all who wait."""

    state: State
    position: int
    length: int
    at_ms: int


class Left(StrEnum):
    """What somebody who left gave up."""

    LINE = "line"
    SLOT = "slot"  # was admitted and had not come
    SESSION = "session"
    NOTHING = "nothing"  # was not there any more


@dataclass(frozen=True, slots=True)
class Grant:
    """Numbers that were admitted together: `count` of [start, end) waited, the others were gone."""

    lane: int
    start: int
    end: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticked:
    """What a tick did; `inside` are sessions and slots that are kept."""

    at_ms: int
    admitted: int
    inside: int
    waiting: int
    no_shows: int
    was_restarted: bool  # since the tick before; one tick tells of it, whoever noticed it first
    grants: tuple[Grant, ...] = ()
    ended_session_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaped:
    """Who was taken out of the line for being silent, by lane."""

    at_ms: int
    by_lane: tuple[int, ...]

    @property
    def count(self) -> int:
        """Return how many there were in all lanes."""
        return sum(self.by_lane)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Somebody inside; `over` says why it is over: '' (it is not), expired, left, or another."""

    id: str
    place: Place
    began_at_ms: int
    ends_at_ms: int
    seen_at_ms: int
    views: int
    over: str = ""
    over_at_ms: int = 0
    was_ended_now: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What came of asking to come in; `session` is there once there was one, over or not.

    `is_new` when this call began the session; a session that is over has the state EXPIRED.
    """

    state: State
    at_ms: int
    session: Session | None = None
    is_new: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """Some of the sessions under way, those that end first first, of `total`."""

    at_ms: int
    total: int
    sessions: tuple[Session, ...]


@dataclass(frozen=True, slots=True)
class Segment:
    """Bitmaps of one segment, most significant bit first; bits beyond their ends are 0."""

    lane: int
    index: int
    gone: bytes
    expired: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What was counted since the room was made; all only grow.

    `waits_ms` sums how long those admitted had waited, from joining on.
    """

    joined: tuple[int, ...] = (0, 0, 0, 0)  # by lane
    admitted: int = 0
    cancelled: int = 0
    expired: int = 0
    no_shows: int = 0
    ended: int = 0
    waits_ms: int = 0
    peak: int = 0  # the most that ever waited


@dataclass(frozen=True, slots=True, kw_only=True)
class LineState:
    """The numbers of a room's line as of one moment; tuples are by lane."""

    at_ms: int
    status: RoomStatus
    epoch: str  # another one: nothing that was copied before holds
    heads: tuple[int, ...]
    tails: tuple[int, ...]
    waits: tuple[int, ...]
    inside: int
    capacity: int
    rate_per_s: float
    opens_at_ms: int
    ticked_at_ms: int
    hold_until_ms: int
    counters: Counters
    # Every field of the room's hash, for what other modules of this domain keep there.
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def length(self) -> int:
        """Return how many wait."""
        return sum(self.waits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What a copy of a line needs: its numbers, and the segments that changed since `version`."""

    line: LineState
    version: int
    is_all: bool  # more segments changed than fit into one answer: ask again from `version`
    segments: tuple[Segment, ...]


class RoomLostError(UnavailableError):
    """Redis does not know the room: it was emptied, or the room was deleted.

    Whoever knows the room from SQL configures it again.
    """

    code = "room_lost"

    def __init__(self, room_id: str) -> None:
        super().__init__("redis", f"room {room_id} is not set up")
        self.args = (room_id,)
        self.room_id = room_id
