"""A room as tests drive it: calls run at once, at a time that the test says."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import redis

from models.rooms import scripts
from models.rooms.rules import (
    Arrival,
    Claim,
    Entry,
    Joined,
    Left,
    LineConfig,
    LineState,
    Place,
    Reaped,
    Standing,
    Ticked,
)

START_MS: Final = 1_800_000_000_000
SESSION_MS: Final = 60_000
CONFIG: Final = LineConfig(rate_per_s=2, capacity=5, claim_ms=10_000, heartbeat_timeout_ms=6_000)


class Room:
    """A room that was made at START_MS; `now_ms` 0 lets the clock of Redis go on by itself."""

    def __init__(
        self,
        client: redis.Redis,
        *,
        room_id: str = "sale",
        config: LineConfig = CONFIG,
        now_ms: int = START_MS,
    ) -> None:
        self.client: Final = client
        self.id: Final = room_id
        self.config = config
        self.now_ms = now_ms
        scripts.run(client, scripts.configure(room_id, config, now_ms=now_ms))

    def configure(self, **changes: Any) -> None:
        """Change settings."""
        self.config = replace(self.config, **changes)
        self.run(scripts.configure(self.id, self.config, now_ms=self.now_ms))

    def start_at(self, number: int) -> None:
        """Let the next number of each lane be this one, as after so many visitors."""
        key = scripts.room_key(self.id)
        for lane in range(4):
            self.client.hset(
                key,
                mapping={f"h{lane}": number, f"t{lane}": number, f"f{lane}": number // 65_536},
            )

    def run(self, call: scripts.Call[Any]) -> Any:
        """Run any call."""
        return scripts.run(self.client, call)

    def join(self, *arrivals: Arrival) -> list[Joined]:
        """Take visitors in."""
        return scripts.run(self.client, scripts.join(self.id, arrivals, now_ms=self.now_ms))

    def join_some(self, count: int, lane: int = 0) -> list[Place]:
        """Take in visitors whom nobody knows, and return their places."""
        joined = self.join(*[Arrival(lane)] * count)
        assert all(each.entry is Entry.JOINED for each in joined)
        return [each.place for each in joined if each.place]

    def beat(self, *places: Place) -> None:
        """Note that visitors were heard of."""
        scripts.run(self.client, scripts.beat(self.id, places, now_ms=self.now_ms))

    def leave(self, place: Place) -> Left:
        """Take somebody out."""
        return scripts.run(self.client, scripts.leave(self.id, place, now_ms=self.now_ms))

    def tick(self) -> Ticked:
        """Let the next in."""
        return scripts.run(self.client, scripts.tick(self.id, now_ms=self.now_ms))

    def reap(self) -> Reaped:
        """Take out who is silent."""
        return scripts.run(self.client, scripts.reap(self.id, now_ms=self.now_ms))

    def claim(self, place: Place, *, life_ms: int = SESSION_MS) -> Claim:
        """Begin a session, if admitted."""
        call = scripts.claim(
            self.id, place, session_id=session_id(place), life_ms=life_ms, now_ms=self.now_ms
        )
        return scripts.run(self.client, call)

    def locate(self, place: Place) -> Standing:
        """Say where a place stands."""
        return scripts.run(self.client, scripts.locate(self.id, place, now_ms=self.now_ms))

    def positions(self, places: Sequence[Place]) -> list[int]:
        """Return the positions of places."""
        return [self.locate(place).position for place in places]

    def line(self) -> LineState:
        """Return the numbers of the line."""
        return scripts.run(self.client, scripts.snapshot(self.id, now_ms=self.now_ms)).line


def session_id(place: Place) -> str:
    """Return the id of the session that a place may claim."""
    return f"session-{place.lane}-{place.number}"
