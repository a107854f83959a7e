"""The visitors of a sale: when they come, how long they wait, when their phones sleep.

Each is played by the numbers drawn for him here, from one seed, so a day can be played again.
"""

import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

BEAT_EVERY_S: Final = 15
# One in so many stays whatever happens and never sleeps: his wait has an end to compare with.
_PATIENT_EVERY: Final = 50
_PATIENCE_S: Final = 2_400.0  # the mean of the others
_SLEEPER_SHARE: Final = 0.15
_SLEEP_S: Final = (20, 240)
_SAYS_SO_SHARE: Final = 0.5  # of those who leave; the others fall silent


@dataclass(slots=True)
class Visitor:
    """Somebody with a page open."""

    index: int
    leaves_s: float
    says_so: bool
    sleeps_s: int  # when the phone goes to sleep
    wakes_s: int
    number: int = -1  # of the place
    is_here: bool = True

    def is_awake(self, now_s: int) -> bool:
        """Say whether the page can send heartbeats."""
        return self.is_here and not self.sleeps_s <= now_s < self.wakes_s


@dataclass
class Crowd:
    """All visitors, and what they do when."""

    visitors_max: int
    arriving_s: int
    random: random.Random
    visitors: list[Visitor] = field(default_factory=list)
    by_number: dict[int, Visitor] = field(default_factory=dict)
    leaving: dict[int, list[Visitor]] = field(default_factory=lambda: defaultdict(list))
    waking: dict[int, list[Visitor]] = field(default_factory=lambda: defaultdict(list))
    beating: list[list[Visitor]] = field(default_factory=lambda: [[] for _ in range(BEAT_EVERY_S)])

    def arrive(self, now_s: int) -> list[Visitor]:
        """Return who comes in this second: most in the first minute, as at any sale."""
        share = self._share(now_s + 1) - self._share(now_s)
        count = round(self.visitors_max * share) if now_s < self.arriving_s else 0
        return [self._make(now_s) for _ in range(count)]

    def place(self, visitor: Visitor, number: int, now_s: int) -> None:
        """Note the place of somebody who joined, again or for the first time."""
        self.by_number.pop(visitor.number, None)
        visitor.number = number
        self.by_number[number] = visitor
        self.beating[now_s % BEAT_EVERY_S].append(visitor)

    def beat(self, now_s: int) -> list[int]:
        """Return the numbers of those who send a heartbeat in this second."""
        due = self.beating[now_s % BEAT_EVERY_S]
        due[:] = [visitor for visitor in due if visitor.is_here]
        return [visitor.number for visitor in due if visitor.is_awake(now_s)]

    def leave(self, now_s: int) -> Iterator[Visitor]:
        """Yield who gives up in this second, and says so."""
        for visitor in self.leaving.pop(now_s, ()):
            if visitor.is_here:
                visitor.is_here = False
                if visitor.says_so:
                    yield visitor

    def wake(self, now_s: int) -> list[Visitor]:
        """Return whose phone wakes in this second."""
        return [visitor for visitor in self.waking.pop(now_s, ()) if visitor.is_here]

    def _share(self, now_s: int) -> float:
        """Return the share that has come by a second: 1 - (1 - t)², so twice as many at first."""
        left = max(1 - now_s / self.arriving_s, 0.0)
        return 1 - left * left

    def _make(self, now_s: int) -> Visitor:
        index = len(self.visitors)
        is_patient = index % _PATIENT_EVERY == 0
        chance = self.random
        leaves_s = now_s + (10**9 if is_patient else chance.expovariate(1 / _PATIENCE_S))
        visitor = Visitor(index, leaves_s, chance.random() < _SAYS_SO_SHARE, 0, 0)
        self.visitors.append(visitor)
        if not is_patient:
            self.leaving[int(leaves_s) + 1].append(visitor)
            if chance.random() < _SLEEPER_SHARE:
                visitor.sleeps_s = now_s + chance.randint(10, 3_600)
                visitor.wakes_s = visitor.sleeps_s + chance.randint(*_SLEEP_S)
                self.waking[visitor.wakes_s].append(visitor)
        return visitor

    def is_patient(self, visitor: Visitor) -> bool:
        """Say whether somebody stays to the end."""
        return visitor.index % _PATIENT_EVERY == 0
