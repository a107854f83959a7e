"""A room in plain Python, one record for each visitor: slow, and plainly right.

It says what the scripts shall do; nothing of it is clever, and nothing is shared with them.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from models.rooms.rules import Entry, Left, LineConfig, Place, RoomStatus, State

SEGMENT = 65_536


@dataclass
class Visitor:
    """Somebody who joined, in one of the states waiting, gone, expired, granted, inside, over."""

    place: Place
    state: str = "waiting"
    heard: dict[int, int] = field(default_factory=dict)  # by width of a bucket: the last bucket
    deadline_ms: int = 0  # of a grant
    ends_ms: int = 0  # of a session
    is_counted: bool = False  # holds a slot


class Oracle:
    """What a room holds, at any time that it is asked."""

    def __init__(self, config: LineConfig, *, now_ms: int, start: int) -> None:
        self.config = config
        self.now_ms = now_ms
        self.visitors: dict[Place, Visitor] = {}
        self.known: dict[bytes, Visitor] = {}
        self.tails = [start] * 4
        self.limbo: set[tuple[int, int, int]] = set()  # lane, from, to
        self.tokens = 0.0
        self.ticked_ms = now_ms
        self.hold_until_ms = 0
        self.heard_from_ms = now_ms
        self.looked_ms = 0
        self.reaped_bucket = 0
        self.heads = [start] * 4

    @property
    def inside(self) -> int:
        """Return how many slots are held."""
        return sum(each.is_counted for each in self.visitors.values())

    def waiting(self, lane: int | None = None) -> list[Visitor]:
        """Return who waits, in the order of admission."""
        found = [
            each
            for each in self.visitors.values()
            if each.state == "waiting" and lane in (None, each.place.lane)
        ]
        return sorted(found, key=lambda each: (-each.place.lane, each.place.number))

    def configure(self, **changes: Any) -> None:
        """Change settings."""
        before, self.config = self.config, replace(self.config, **changes)
        left_maintenance = (
            before.status is RoomStatus.MAINTENANCE
            and self.config.status is not RoomStatus.MAINTENANCE
        )
        if before.heartbeat_timeout_ms != self.config.heartbeat_timeout_ms or left_maintenance:
            self.heard_from_ms = self.now_ms

    def join(self, lane: int, digest: bytes) -> tuple[Entry, Place | None]:
        """Take somebody in."""
        held = self.known.get(digest) if digest else None
        if held and self.is_here(held):
            return Entry.KNOWN, held.place
        if self.config.status is RoomStatus.MAINTENANCE:
            return Entry.MAINTENANCE, None
        if self.config.status is RoomStatus.CLOSED:
            return Entry.CLOSED, None
        if 0 < self.config.line_max <= len(self.waiting()):
            return Entry.FULL, None
        visitor = Visitor(Place(lane, self.tails[lane]))
        self.tails[lane] += 1
        self.visitors[visitor.place] = visitor
        if digest:
            self.known[digest] = visitor
        self.beat(visitor.place)
        return Entry.JOINED, visitor.place

    def is_here(self, visitor: Visitor) -> bool:
        """Say whether somebody holds anything that a new place would be one too many to."""
        if visitor.state == "inside":
            return self.now_ms < visitor.ends_ms
        return visitor.state in ("waiting", "granted")

    def beat(self, place: Place) -> None:
        """Hear of somebody."""
        if visitor := self.visitors.get(place):
            visitor.heard[self.width_ms] = self.now_ms // self.width_ms

    def leave(self, place: Place) -> Left:
        """Take somebody out."""
        visitor = self.visitors[place]
        if visitor.state == "waiting":
            visitor.state = "gone"
            return Left.LINE
        if visitor.state == "granted":
            visitor.state, visitor.is_counted = "gone", False
            return Left.SLOT
        if visitor.state == "inside" and self.now_ms < visitor.ends_ms:
            visitor.state, visitor.is_counted = "over", False
            return Left.SESSION
        return Left.NOTHING

    def tick(self) -> int:
        """Let the next in; return how many."""
        for visitor in self.visitors.values():
            if visitor.state == "inside" and visitor.ends_ms <= self.now_ms:
                visitor.state, visitor.is_counted = "over", False
            if visitor.state == "granted" and visitor.deadline_ms <= self.now_ms:
                visitor.state, visitor.is_counted = "expired", False
        is_open = (
            self.config.status is RoomStatus.ACTIVE
            and self.now_ms >= self.hold_until_ms
            and self.now_ms >= self.config.opens_at_ms
        )
        rate = self.config.rate_per_s
        earned = rate * max(self.now_ms - self.ticked_ms, 0) / 1000
        self.tokens = min(max(rate * 2, 1), self.tokens + earned) if is_open else 0.0
        self.ticked_ms = self.now_ms
        count = min(math.floor(self.tokens + 1e-9), self.config.capacity - self.inside)
        admitted = self.waiting()[: max(count, 0)]
        for visitor in admitted:
            visitor.state, visitor.is_counted = "granted", True
            visitor.deadline_ms = self.now_ms + self.config.claim_ms
            lane = visitor.place.lane
            self.heads[lane] = max(self.heads[lane], visitor.place.number + 1)
        self.tokens = float(f"{self.tokens - len(admitted):.6f}")
        return len(admitted)

    def claim(self, place: Place, *, life_ms: int) -> State:
        """Begin a session."""
        visitor = self.visitors[place]
        if visitor.state == "granted":
            visitor.state, visitor.ends_ms = "inside", self.now_ms + life_ms
        return self.state_of(visitor)

    def state_of(self, visitor: Visitor) -> State:
        """Say what somebody is told."""
        if visitor.state == "inside" and visitor.ends_ms <= self.now_ms:
            return State.EXPIRED
        return {
            "waiting": State.WAITING,
            "gone": State.GONE,
            "expired": State.EXPIRED,
            "over": State.EXPIRED,
            "granted": State.ADMITTED,
            "inside": State.ADMITTED,
        }[visitor.state]

    def reap(self) -> int:
        """Take out who is silent; return how many."""
        before_ms, self.looked_ms = self.looked_ms, self.now_ms
        if before_ms and not 0 <= self.now_ms - before_ms <= 10_000:
            self.heard_from_ms, self.reaped_bucket = self.now_ms, 0
            return 0
        bucket = self.now_ms // self.width_ms
        span = math.ceil(self.config.heartbeat_timeout_ms / self.width_ms)
        if self.config.status is RoomStatus.MAINTENANCE or bucket == self.reaped_bucket:
            return 0
        if bucket - span <= self.heard_from_ms // self.width_ms:
            return 0
        self.reaped_bucket = bucket
        silent = [
            each for each in self.waiting() if each.heard.get(self.width_ms, 0) < bucket - span
        ]
        for visitor in silent:
            visitor.state = "expired"
        return len(silent)

    def restart(self) -> None:
        """Be put in order after the store was restarted."""
        for lane, tail in enumerate(self.tails):
            last = math.ceil((tail + 16_384) / SEGMENT) * SEGMENT
            self.limbo.add((lane, tail, last))
            self.tails[lane] = last
        self.hold_until_ms = self.now_ms + 7_000
        self.heard_from_ms = self.ticked_ms = self.now_ms
        self.tokens = 0.0

    def present(self, place: Place) -> bool:
        """Give a lost place back, unless its turn is over; say whether it waits again."""
        if place in self.visitors or place.number < self.heads[place.lane]:
            return False
        self.visitors[place] = Visitor(place)
        self.beat(place)
        return True

    @property
    def width_ms(self) -> int:
        """Return how long a bucket is."""
        return min(5_000, max(100, self.config.heartbeat_timeout_ms // 12))
