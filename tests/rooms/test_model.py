"""Any order of steps at any time: the scripts and the copy in memory against the oracle.

Guarantees 1 to 4 hold after every step: the capacity, the order, the time-out, one admission each.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from models.rooms import scripts
from models.rooms.line_copy import LineCopy
from models.rooms.rules import Arrival, LineConfig, Place, RoomStatus, Snapshot, State
from tests.rooms.oracle import Oracle
from tests.rooms.rooms import START_MS, Room

CONFIG = LineConfig(rate_per_s=3, capacity=4, claim_ms=3_000, heartbeat_timeout_ms=2_400)
SESSION_MS = 4_000
# Around the ends of segments, where bits of one number lie in two bitmaps.
STARTS = (0, 65_500, 65_530, 131_070)
WHO = st.integers(0, 11).map(lambda number: number.to_bytes(8, "big") if number else b"")
LANES = st.sampled_from([0, 0, 1, 3])
CHANGES = st.sampled_from(
    [
        {"status": RoomStatus.PAUSED},
        {"status": RoomStatus.ACTIVE},
        {"status": RoomStatus.ACTIVE},
        {"status": RoomStatus.MAINTENANCE},
        {"status": RoomStatus.CLOSED},
        {"capacity": 1},
        {"capacity": 9},
        {"rate_per_s": 0.5},
        {"rate_per_s": 20},
        {"line_max": 3},
        {"line_max": 0},
        {"heartbeat_timeout_ms": 1_200},
        {"heartbeat_timeout_ms": 6_000},
        {"opens_at_ms": START_MS + 5_000},
    ]
)


class RoomMachine(RuleBasedStateMachine):
    """Steps in any order; `client` is set by the test."""

    client: redis.Redis

    @initialize(start=st.sampled_from(STARTS))
    def begin(self, start: int) -> None:
        """Make a room whose lanes have seen so many."""
        self.client.flushall()
        self.room = Room(self.client, config=CONFIG)
        self.room.start_at(start)
        self.oracle = Oracle(CONFIG, now_ms=START_MS, start=start)
        self.copy = LineCopy(self.room.run(scripts.snapshot(self.room.id)))

    @rule(arrivals=st.lists(st.tuples(LANES, WHO), min_size=1, max_size=8))
    def join(self, arrivals: list[tuple[int, bytes]]) -> None:
        """Some join, and none of them pushes back whoever was there in this lane or above."""
        before = self.positions()

        joined = self.room.join(*[Arrival(*each) for each in arrivals])

        assert [(each.entry, each.place) for each in joined] == [
            self.oracle.join(*each) for each in arrivals
        ]
        lowest = max(lane for lane, _ in arrivals)
        after = self.positions()
        for place, position in before.items():
            if place.lane >= lowest:
                assert after[place] == position
        self.check()

    @rule(data=st.data())
    @precondition(lambda self: self.oracle.visitors)
    def beat(self, data: st.DataObject) -> None:
        """Some are heard of."""
        places = data.draw(st.lists(st.sampled_from(list(self.oracle.visitors)), max_size=30))

        self.room.beat(*places)

        for place in places:
            self.oracle.beat(place)

    @rule(data=st.data())
    @precondition(lambda self: self.oracle.visitors)
    def leave(self, data: st.DataObject) -> None:
        """Somebody leaves, whatever the state."""
        place = data.draw(st.sampled_from(list(self.oracle.visitors)))

        assert self.room.leave(place) is self.oracle.leave(place)
        self.check()

    @rule(data=st.data())
    @precondition(lambda self: self.oracle.visitors)
    def claim(self, data: st.DataObject) -> None:
        """Somebody asks to come in."""
        place = data.draw(st.sampled_from(list(self.oracle.visitors)))

        claim = self.room.claim(place, life_ms=SESSION_MS)

        self.assert_same(claim.state, self.oracle.claim(place, life_ms=SESSION_MS), place)
        self.check()

    @rule(
        elapsed_ms=st.sampled_from([1, 50, 250, 300, 1_000, 1_900, 2_400, 9_000, 30_000, -700]),
        ticks=st.integers(0, 3),
        reaps=st.integers(0, 2),
    )
    def advance(self, elapsed_ms: int, ticks: int, reaps: int) -> None:
        """Time passes, or jumps; none, one or several tick and reap."""
        self.room.now_ms = self.oracle.now_ms = self.oracle.now_ms + elapsed_ms
        for _ in range(reaps):
            assert self.room.reap().count == self.oracle.reap()
        for _ in range(ticks):
            self.tick()
        self.check()

    @rule(changes=CHANGES)
    def configure(self, changes: dict[str, Any]) -> None:
        """Settings change under way."""
        self.room.configure(**changes)
        self.oracle.configure(**changes)
        self.check()

    @rule()
    def restart(self) -> None:
        """The store comes back after it died, having lost nothing but what it knows not."""
        self.client.hset(scripts.room_key(self.room.id), "run_id", "another")
        self.room.run(scripts.recover(self.room.id, now_ms=self.room.now_ms))
        self.oracle.restart()
        self.check()

    @rule(data=st.data())
    @precondition(lambda self: self.oracle.limbo)
    def present(self, data: st.DataObject) -> None:
        """Somebody whose place the store lost comes back with it."""
        lane, start, end = data.draw(st.sampled_from(sorted(self.oracle.limbo)))
        place = Place(lane, data.draw(st.sampled_from([start, start + 3, end - 1])))
        is_known = place in self.oracle.visitors

        standing = self.room.run(scripts.present(self.room.id, place, now_ms=self.room.now_ms))

        if self.oracle.present(place):
            assert standing.state is State.WAITING
        elif not is_known:
            assert standing.state in (State.ADMITTED, State.EXPIRED)
        self.check()

    def tick(self) -> None:
        """Tick both; nobody is let in above the capacity, nor before somebody who waits longer."""
        ticked = self.room.tick()

        assert ticked.admitted == self.oracle.tick()
        if ticked.admitted:
            assert ticked.inside <= self.room.config.capacity
        for grant in ticked.grants:
            waiting = self.oracle.waiting(grant.lane)
            assert all(each.place.number >= grant.end for each in waiting)

    def positions(self) -> dict[Place, int]:
        """Return the position of everybody who waits, as the copy in memory says."""
        line, version = self.copy.line, self.copy.version
        parts: list[Snapshot] = []
        while not parts or not parts[-1].is_all:
            part = self.room.run(scripts.snapshot(self.room.id, epoch=line.epoch, version=version))
            line, version = part.line, part.version
            parts.append(part)
        self.copy.update(parts)
        return {each.place: self.copy.locate(each.place).position for each in self.oracle.waiting()}

    def check(self) -> None:
        """Compare everything that can be seen."""
        positions = self.positions()
        assert list(positions.values()) == list(range(1, len(positions) + 1))
        line = self.copy.line
        assert line.inside == self.oracle.inside
        assert list(line.tails) == self.oracle.tails
        assert line.waits == tuple(len(self.oracle.waiting(lane)) for lane in range(4))
        for place, visitor in self.oracle.visitors.items():
            standing = self.room.locate(place)
            self.assert_same(standing.state, self.oracle.state_of(visitor), place)
            assert standing.position == positions.get(place, 0)

    def assert_same(self, found: State, expected: State, place: Place) -> None:
        """Compare states; of numbers long passed by only that they are over is kept."""
        if found is State.EXPIRED and expected is State.GONE:
            floor = self.copy.line.fields[f"f{place.lane}"]
            assert place.number < int(floor) * 65_536
        else:
            assert found is expected


@contextmanager
def machine_on(client: redis.Redis) -> Iterator[Callable[[], RoomMachine]]:
    """Yield a factory of machines on a Redis."""

    class Machine(RoomMachine):
        pass

    Machine.client = client
    yield Machine


def run(client: redis.Redis, *, examples: int) -> None:
    """Run so many examples."""
    with machine_on(client) as machine:
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                database=None,
            ),
        )


def test_room_agrees_with_the_oracle_in_any_order(redis_client: redis.Redis) -> None:
    run(redis_client, examples=100)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_room_agrees_with_the_oracle_in_thousands_of_orders(redis_client: redis.Redis) -> None:
    run(redis_client, examples=2_000)
