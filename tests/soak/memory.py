"""What each process of a tree holds in memory, second by second."""

import contextlib
import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from tests.processes import children_of

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1_048_576


@dataclass
class Life:
    """One process: what it is, and what it held at which second of its life."""

    name: str
    began_at: float
    held: list[tuple[float, float]] = field(default_factory=list)

    def growth_mib(self, warm_up_s: float) -> float:
        """Return by how much it grew since it was warm: ends of that time, without their peaks."""
        warm = [mib for age_s, mib in self.held if age_s >= warm_up_s]
        part = max(1, len(warm) // 4)
        return statistics.median(warm[-part:]) - statistics.median(warm[:part])

    def lived_s(self) -> float:
        return self.held[-1][0]


class Memory:
    """Watches a supervisor, whichever it is at the time, and all that it started."""

    def __init__(self, find: Callable[[], int]) -> None:
        self.lives: dict[int, Life] = {}
        self._find = find
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc_info: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_over.wait(1.0):
            waiting = [("supervisor", self._find())]
            while waiting:
                name, pid = waiting.pop()
                with contextlib.suppress(OSError, IndexError):
                    name = _name(pid, name)
                    self._note(name, pid)
                    waiting += [(name, child) for child in children_of(pid)]

    def _note(self, name: str, pid: int) -> None:
        mib = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES / _MIB
        now = time.monotonic()
        life = self.lives.setdefault(pid, Life(name, now))
        life.held.append((now - life.began_at, mib))


def _name(pid: int, parents: str) -> str:
    """Return what a process is called, or its parent is: one of Celery's has no name of its own."""
    words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    if b"api.cli" in words:
        return words[words.index(b"api.cli") + 1].decode()
    return "redis" if any(b"redis" in word for word in words[:1]) else parents
