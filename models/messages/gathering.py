"""When to begin with what has come: not before everything that is already here is in."""

import asyncio
from collections.abc import Callable
from typing import Final

# A request that a socket holds in this turn of the loop has come by the turn after the next.
_QUIET_TURNS: Final = 2
# Who came first does not wait for ever for those who keep coming.
_TURNS_MAX: Final = 10


class Gathering:
    """Calls `begin` once the loop has at hand nothing more that belongs to it.

    No timer: a turn of the loop costs microseconds where a transaction costs milliseconds, so an
    idle queue begins at once and a busy one with all who came together.
    """

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin: Final = begin
        self._is_due = False
        self._came = False

    @property
    def is_due(self) -> bool:
        """Say whether `begin` is about to be called."""
        return self._is_due

    def note(self) -> None:
        """Something came."""
        self._came = True
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._look, 1, 0)

    def _look(self, turn: int, quiet_turns: int) -> None:
        quiet_turns = 0 if self._came else quiet_turns + 1
        self._came = False
        if quiet_turns < _QUIET_TURNS and turn < _TURNS_MAX:
            asyncio.get_running_loop().call_soon(self._look, turn + 1, quiet_turns)
        else:
            self._is_due = False
            self._begin()
