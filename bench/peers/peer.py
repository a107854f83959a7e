"""What a peer is: something with a queue that is measured in the same run as ours."""

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Final

from bench.http_load import Connection, Load, Meter, Script, measure

CONNECTIONS: Final = 64
STREAMS: Final = 8
WAITING: Final = 4

Row = Callable[[], Load]


class Kind(Enum):
    """What a peer is compared with in the gates."""

    HTTP = "http"
    POSTGRESQL = "postgresql"
    OTHER = "other"


@dataclass(frozen=True)
class Peer:
    """How to start one and load it.

    `missing` says what to install, or nothing; `running` starts it empty in a folder and yields
    its rows, to be run in their order with the seconds that each is measured for.
    """

    name: str
    kind: Kind
    missing: Callable[[], str | None]
    running: Callable[[Path, float], AbstractContextManager[Mapping[str, Row]]]


class RanDryError(Exception):
    """There was nothing left to receive, so the rate of receiving is not known."""


@dataclass(frozen=True)
class Loader:
    """Runs scripts against the server of a peer, and stocks its queue before it is emptied.

    `fill` are producers of batches, `left` counts the messages that wait.
    """

    port: int
    pid: int
    seconds: float
    fill: Callable[[Meter], Sequence[Script]]
    left: Callable[[], int]
    speaks: type[Connection] | None = None

    def run(self, scripts: Callable[[Meter], Sequence[Script]]) -> Load:
        """Measure once."""
        return self._measure(scripts, self.seconds)

    def drain(self, scripts: Callable[[Meter], Sequence[Script]], in_hand: int = 0) -> Load:
        """Measure what takes messages away, with more in stock than it can take.

        `in_hand` messages at most come back from consumers that are cut off. Raises RanDryError
        when four times the time of filling were not enough.
        """
        for times in (1, 2, 4):
            self._measure(self.fill, self.seconds * times)
            load = self.run(scripts)
            if self.left() > in_hand:
                return load
        raise RanDryError

    def _measure(self, scripts: Callable[[Meter], Sequence[Script]], seconds: float) -> Load:
        return measure(
            scripts,
            port=self.port,
            seconds=seconds,
            watched={"server": self.pid},
            speaks=self.speaks,
        )


def many(
    scripts: Callable[[int, Meter], Sequence[Script]], count: int = CONNECTIONS
) -> Callable[[Meter], Sequence[Script]]:
    """Return the same for so many connections."""
    return functools.partial(scripts, count)
