"""Loads of many rounds by name, and what they say about each other."""

from dataclasses import dataclass, field
from statistics import median

from bench.http_load import Load


@dataclass
class Figures:
    """Loads by name, one for each round."""

    rounds: dict[str, list[Load]] = field(default_factory=dict)

    def add(self, name: str, load: Load) -> None:
        """Keep one more round's."""
        self.rounds.setdefault(name, []).append(load)

    def of(self, name: str) -> Load:
        """Return the round in the middle, by rate."""
        loads = sorted(self.rounds[name], key=lambda load: load.per_s)
        return loads[len(loads) // 2]

    def ratio(self, name: str, to: str) -> float:
        """Return the median of the rounds' ratios: what ran in turns met the same weather."""
        ones, others = self.rounds[name], self.rounds[to]
        if len(ones) != len(others):  # a round of one failed, so they cannot be told apart
            return self.of(name).per_s / self.of(to).per_s
        return median(one.per_s / other.per_s for one, other in zip(ones, others, strict=True))
