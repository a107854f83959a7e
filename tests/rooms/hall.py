"""A room played second by second in memory, where the truth about each wait is known in the end."""

import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Final

from models.rooms.estimates import Estimate, Limits, estimate
from models.rooms.paces import Sample, Samples, is_full

_PATIENT_EVERY: Final = 20  # one visitor in so many never leaves, so his wait has an end
_ASKED_EVERY_S: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What comes to a room: one lane, everybody in the first seconds."""

    rate_per_s: int
    capacity: int
    session_s: float  # the mean
    patience_s: float  # the mean
    visitors: int
    arriving_s: int


@dataclass(frozen=True, slots=True)
class Asked:
    """What a visitor was told, and how it came."""

    position: int
    told: Estimate
    waited_s: int


@dataclass
class Hall:
    """Plays one day."""

    day: Day
    random: random.Random
    line: list[int] = field(default_factory=list)
    gone: set[int] = field(default_factory=set)  # left or admitted
    leaving: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    ending: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    joined: int = 0
    admitted: int = 0
    left: int = 0
    ended: int = 0
    waiting: int = 0

    def play(self) -> list[Asked]:
        """Return what patient visitors were told on the way, beside the truth."""
        samples = Samples()
        told: list[tuple[int, int, Estimate, int]] = []
        admitted_at_s: dict[int, int] = {}
        now_s = 0
        while self.waiting or now_s < self.day.arriving_s:
            self._arrive(now_s)
            self._leave(now_s)
            for visitor in self._admit(now_s):
                admitted_at_s[visitor] = now_s
            samples.add(self._sample(now_s))
            if now_s % _ASKED_EVERY_S == 0 and now_s >= _ASKED_EVERY_S:
                told += self._ask(now_s, samples)
            now_s += 1
        return [
            Asked(position, said, admitted_at_s[visitor] - at_s)
            for visitor, position, said, at_s in told
        ]

    @property
    def inside(self) -> int:
        return self.admitted - self.ended

    def _arrive(self, now_s: int) -> None:
        if now_s >= self.day.arriving_s:
            return
        for _ in range(self.day.visitors // self.day.arriving_s):
            visitor, self.joined, self.waiting = self.joined, self.joined + 1, self.waiting + 1
            self.line.append(visitor)
            if visitor % _PATIENT_EVERY:
                patience_s = self.random.expovariate(1 / self.day.patience_s)
                self.leaving[now_s + 1 + int(patience_s)].append(visitor)

    def _leave(self, now_s: int) -> None:
        for visitor in self.leaving.pop(now_s, ()):
            if visitor not in self.gone:
                self.gone.add(visitor)
                self.left += 1
                self.waiting -= 1

    def _admit(self, now_s: int) -> list[int]:
        self.ended += self.ending.pop(now_s, 0)
        free = min(self.day.rate_per_s, self.day.capacity - self.inside, self.waiting)
        admitted: list[int] = []
        while len(admitted) < free:
            visitor = self.line.pop(0)
            if visitor not in self.gone:
                admitted.append(visitor)
        for visitor in admitted:
            self.gone.add(visitor)
            session_s = self.random.expovariate(1 / self.day.session_s)
            self.ending[now_s + 1 + int(session_s)] += 1
        self.admitted += len(admitted)
        self.waiting -= len(admitted)
        return admitted

    def _sample(self, now_s: int) -> Sample:
        return Sample(
            at_ms=now_s * 1_000,
            admitted=self.admitted,
            left=self.left,
            waiting=self.waiting,
            inside=self.inside,
            ended=self.ended,
            joined=(self.joined, 0, 0, 0),
            is_full=is_full(self.inside, self.day.capacity),
        )

    def _ask(self, now_s: int, samples: Samples) -> list[tuple[int, int, Estimate, int]]:
        day = self.day
        limits = Limits(
            rate_per_s=day.rate_per_s,
            capacity=day.capacity,
            inside=self.inside,
            session_ms=int(day.session_s * 4_000),
        )
        pace = samples.pace()
        told = []
        here = [visitor for visitor in self.line if visitor not in self.gone]
        for ahead, visitor in enumerate(here):
            if visitor % _PATIENT_EVERY == 0:
                said = estimate(ahead, lane=0, pace=pace, limits=limits)
                assert said is not None
                told.append((visitor, ahead + 1, said, now_s))
        return told
