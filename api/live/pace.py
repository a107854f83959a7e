"""How fast a client may talk: so many messages a second, and twice as many at once."""

import asyncio
from typing import Final


class Pace:
    """Counts the messages of one client."""

    __slots__ = ("_at_s", "_left", "_rate")

    def __init__(self, messages_per_s: int) -> None:
        self._rate: Final = messages_per_s
        self._left: float = 2 * messages_per_s
        self._at_s = asyncio.get_running_loop().time()

    def allows(self) -> bool:
        """Count one more message and say whether the client may go on."""
        now_s = asyncio.get_running_loop().time()
        self._left = min(2 * self._rate, self._left + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        self._left -= 1
        return self._left >= 0
