"""One look for all who ask at the same time, and never one that began before somebody asked."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")


class SharedLook(Generic[T]):
    """Looks for everybody at once, for one event loop; a hundred displays cost one query.

    Who asks while a look is under way waits for the next one, which all of them share: so what is
    answered is never older than the question.
    """

    def __init__(self, look: Callable[[int], Awaitable[T]]) -> None:
        """`look` is given the moment, Unix ms, of the last who asked before it began."""
        self._look: Final = look
        self._under: asyncio.Task[T] | None = None
        self._next: asyncio.Task[T] | None = None
        self._asked_ms = 0

    async def ask(self, *, now_ms: int) -> T:
        """Return what a look found that began after this; raises what it raised."""
        self._asked_ms = max(self._asked_ms, now_ms)
        if self._next is None:
            self._next = asyncio.create_task(self._begin(self._under))
            self._next.add_done_callback(_heard)
        # Whoever hangs up takes nothing from the others.
        return await asyncio.shield(self._next)

    async def _begin(self, before: asyncio.Task[T] | None) -> T:
        if before is not None and not before.done():
            with contextlib.suppress(Exception):  # who asked for that one is told
                await asyncio.shield(before)
        self._under, self._next = self._next, None
        return await self._look(self._asked_ms)


def _heard(task: asyncio.Task[T]) -> None:
    """Take note of what nobody waits for any more, or asyncio would complain of it."""
    if not task.cancelled():
        task.exception()
