"""Play a sale against a real Redis: is what visitors are told how long they wait?

100,000 visitors in 5 minutes before a room that admits 500 a minute. Some give up, some without a
word, phones sleep and wake up to a place that is lost, some who are admitted never come. The day is
compressed: scripts are told what time it is, so two hours take minutes.

    python bench/rooms_day.py [--visitors 100000] [--picture docs/images/rooms-day.png]
"""

import argparse
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import redis

from bench.day_crowd import Crowd, Visitor
from bench.day_picture import Reading, draw_day
from models.rooms import scripts
from models.rooms.estimates import Estimate, tell
from models.rooms.paces import Samples, sample_of
from models.rooms.rules import Arrival, LineConfig, LineState, Place, State
from tests.servers import RedisServer, temporary_folder

ROOM: Final = "sale"
RATE_PER_S: Final = 500 / 60
CAPACITY: Final = 3_000
CLAIM_S: Final = 120
SESSION_S: Final = 600  # at the longest
STAY_S: Final = 240.0  # the mean of those who come in
NO_SHOW_SHARE: Final = 0.08
TIMEOUT_S: Final = 60
ASKED_EVERY_S: Final = 60
JOINS_AT_ONCE: Final = 1_000
# A wait of seconds is told in seconds: a share of it says nothing.
COMPARED_FROM_S: Final = 60


@dataclass(frozen=True, slots=True)
class Answer:
    """What somebody was told, and what a number by position and rate would have been."""

    visitor: int
    at_s: int
    told: Estimate
    by_rate_s: float


@dataclass
class Day:
    """One sale, second by second."""

    client: redis.Redis
    crowd: Crowd
    began_ms: int
    now_s: int = 0
    line: LineState | None = None
    version: int = 0
    samples: Samples = field(default_factory=Samples)
    coming: dict[int, list[Visitor]] = field(default_factory=lambda: defaultdict(list))
    ending: dict[int, list[Visitor]] = field(default_factory=lambda: defaultdict(list))
    admitted_at_s: dict[int, int] = field(default_factory=dict)
    answers: list[Answer] = field(default_factory=list)
    minutes: list[Reading] = field(default_factory=list)

    @property
    def now_ms(self) -> int:
        """Return what time it is in the sale."""
        return self.began_ms + self.now_s * 1_000

    def play(self) -> None:
        """Play until nobody waits."""
        line = LineConfig(
            rate_per_s=RATE_PER_S,
            capacity=CAPACITY,
            claim_ms=CLAIM_S * 1_000,
            heartbeat_timeout_ms=TIMEOUT_S * 1_000,
        )
        scripts.run(self.client, scripts.configure(ROOM, line, now_ms=self.now_ms))
        while self.line is None or self.line.length or self.now_s < self.crowd.arriving_s:
            self._join(self.crowd.arrive(self.now_s) + self._lost())
            self._beat()
            self._leave()
            self._admit()
            self._come_and_go()
            self._look()
            self.now_s += 1

    def _join(self, visitors: list[Visitor]) -> None:
        for start in range(0, len(visitors), JOINS_AT_ONCE):
            some = visitors[start : start + JOINS_AT_ONCE]
            call = scripts.join(ROOM, [Arrival() for _ in some], now_ms=self.now_ms)
            for visitor, joined in zip(some, scripts.run(self.client, call), strict=True):
                assert joined.place is not None
                self.crowd.place(visitor, joined.place.number, self.now_s)

    def _lost(self) -> list[Visitor]:
        """Return who wakes up to find the place expired, and joins again."""
        awake = [each for each in self.crowd.wake(self.now_s) if each.number >= 0]
        calls = [scripts.locate(ROOM, Place(0, each.number), now_ms=self.now_ms) for each in awake]
        standings = scripts.run_all(self.client, calls)
        found = zip(awake, standings, strict=True)
        return [
            each
            for each, standing in found
            if not isinstance(standing, Exception) and standing.state is State.EXPIRED
        ]

    def _beat(self) -> None:
        places = [Place(0, number) for number in self.crowd.beat(self.now_s)]
        if places:
            scripts.run(self.client, scripts.beat(ROOM, places, now_ms=self.now_ms))

    def _leave(self) -> None:
        calls = [
            scripts.leave(ROOM, Place(0, visitor.number), now_ms=self.now_ms)
            for visitor in self.crowd.leave(self.now_s)
        ]
        scripts.run_all(self.client, calls)

    def _admit(self) -> None:
        scripts.run(self.client, scripts.reap(ROOM, now_ms=self.now_ms))
        ticked = scripts.run(self.client, scripts.tick(ROOM, now_ms=self.now_ms))
        for grant in ticked.grants:
            for number in range(grant.start, grant.end):
                visitor = self.crowd.by_number.get(number)
                if visitor is not None and visitor.is_here:
                    self._let_in(visitor)

    def _let_in(self, visitor: Visitor) -> None:
        if visitor.sleeps_s <= self.now_s < visitor.wakes_s:
            return  # and so never comes
        visitor.is_here = False
        self.admitted_at_s[visitor.index] = self.now_s
        chance = self.crowd.random
        if chance.random() >= NO_SHOW_SHARE or self.crowd.is_patient(visitor):
            self.coming[self.now_s + chance.randint(1, 30)].append(visitor)

    def _come_and_go(self) -> None:
        for visitor in self.coming.pop(self.now_s, ()):
            call = scripts.claim(
                ROOM,
                Place(0, visitor.number),
                session_id=str(visitor.index),
                life_ms=SESSION_S * 1_000,
                now_ms=self.now_ms,
            )
            claim = scripts.run(self.client, call)
            if claim.is_new:
                stay_s = 1 + int(self.crowd.random.expovariate(1 / STAY_S))
                self.ending[self.now_s + stay_s].append(visitor)
        for visitor in self.ending.pop(self.now_s, ()):
            place = Place(0, visitor.number)
            scripts.run(self.client, scripts.end_session(ROOM, place, now_ms=self.now_ms))

    def _look(self) -> None:
        epoch = self.line.epoch if self.line else ""
        call = scripts.snapshot(ROOM, epoch=epoch, version=self.version, now_ms=self.now_ms)
        snapshot = scripts.run(self.client, call)
        self.line, self.version = snapshot.line, snapshot.version
        self.samples.add(sample_of(self.line))
        if self.now_s % ASKED_EVERY_S == 0 and self.now_s > 0:
            self._ask(self.line)

    def _ask(self, line: LineState) -> None:
        admitted = line.counters.admitted
        self.minutes.append(Reading(self.now_s, line.length, line.inside, admitted))
        patient = [
            visitor
            for visitor in self.crowd.visitors
            if visitor.is_here and self.crowd.is_patient(visitor)
        ]
        places = [Place(0, visitor.number) for visitor in patient]
        calls = [scripts.locate(ROOM, place, now_ms=self.now_ms) for place in places]
        standings = scripts.run_all(self.client, calls)
        pace = self.samples.pace()
        for visitor, place, standing in zip(patient, places, standings, strict=True):
            assert not isinstance(standing, Exception)
            if standing.state is State.WAITING:
                position = standing.position
                told = tell(line, place, position=position, pace=pace, session_ms=SESSION_S * 1_000)
                assert told is not None
                answer = Answer(visitor.index, self.now_s, told, position / RATE_PER_S)
                self.answers.append(answer)


@dataclass(frozen=True, slots=True)
class Verdict:
    """How far from the truth: medians of |told - waited| / waited."""

    compared: int
    ours: float
    by_rate: float
    within: float  # share of the truths that lay in the range


def judge(day: Day) -> Verdict:
    """Compare all that was told with how it came."""
    pairs = [
        (answer, day.admitted_at_s[answer.visitor] - answer.at_s)
        for answer in day.answers
        if answer.visitor in day.admitted_at_s
    ]
    pairs = [(answer, waited_s) for answer, waited_s in pairs if waited_s >= COMPARED_FROM_S]
    return Verdict(
        len(pairs),
        median(abs(answer.told.seconds - waited_s) / waited_s for answer, waited_s in pairs),
        median(abs(answer.by_rate_s - waited_s) / waited_s for answer, waited_s in pairs),
        sum(answer.told.low <= waited_s <= answer.told.high for answer, waited_s in pairs)
        / len(pairs),
    )


def play(client: redis.Redis, *, visitors: int, arriving_s: int = 300, seed: int = 1) -> Day:
    """Play one day on an empty Redis."""
    crowd = Crowd(visitors, arriving_s, random.Random(seed))
    day = Day(client, crowd, time.time_ns() // 1_000_000)
    day.play()
    return day


def main() -> None:
    """Play the sale, print what came of it, and draw it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--visitors", type=int, default=100_000)
    parser.add_argument("--picture", type=Path, help="a PNG; default: none")
    options = parser.parse_args()
    with temporary_folder() as folder, RedisServer(folder) as server:
        began = time.perf_counter()
        with redis.Redis.from_url(server.url) as client:
            day = play(client, visitors=options.visitors)
        took_s = time.perf_counter() - began
    verdict = judge(day)
    assert day.line is not None
    counters = day.line.counters
    print(f"joined {sum(counters.joined):,}, admitted {counters.admitted:,}")
    print(f"left {counters.cancelled:,}, expired {counters.expired:,}")
    print(f"admitted and never came {counters.no_shows:,}")
    print(f"longest line {counters.peak:,}, over after {day.now_s // 60} minutes")
    print(f"played in {took_s:.0f} s")
    print(f"{verdict.compared:,} estimates of waits over a minute, median error:")
    print(f"  told             {verdict.ours:6.1%}, {verdict.within:.0%} of waits in the range")
    print(f"  position / rate  {verdict.by_rate:6.1%}")
    if options.picture:
        draw_day(day.minutes, comparisons(day), options.picture)
        print(f"{options.picture}: {options.picture.stat().st_size:,} bytes")


def comparisons(day: Day) -> list[tuple[float, float, float]]:
    """Return waited, told and by rate of each answer, in minutes."""
    return [
        (
            (day.admitted_at_s[answer.visitor] - answer.at_s) / 60,
            answer.told.seconds / 60,
            answer.by_rate_s / 60,
        )
        for answer in day.answers
        if answer.visitor in day.admitted_at_s
    ]


if __name__ == "__main__":
    main()
