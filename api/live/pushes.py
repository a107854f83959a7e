"""States that are pushed after changes: the latest wins, and no room gets too many.

A change of state that follows closely on another is told with the next push, so phones and pages
see at most ten a second, whatever happens. Calls and admissions are events and never merged.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

_PAUSE_S: Final = 0.1


class Pushes:
    """Calls `push` for rooms whose state changed, at most once in each tenth of a second."""

    def __init__(self, push: Callable[[str], Awaitable[None]]) -> None:
        self._push: Final = push
        self._changed: set[str] = set()
        self._has_news: Final = asyncio.Event()

    def note(self, rooms: Iterable[str]) -> None:
        """Note that the state of rooms changed; one that waits already waits once."""
        self._changed.update(rooms)
        if self._changed:
            self._has_news.set()

    async def run(self) -> None:
        """Push what changed, until cancelled."""
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            changed, self._changed = self._changed, set()
            for room in changed:
                await self._push(room)
            # Only after every room was pushed: a round is never shorter than the pause.
            await asyncio.sleep(_PAUSE_S)
