"""How long a consumer waits: until its time is over, or its caller hung up."""

import asyncio
from typing import Final

from models.messages.line import Waiter

# How long nobody looks whether a waiting caller has hung up.
_UNWATCHED_S: Final = 0.05


class Patience:
    """Lets a waiter give up when its time is over or its caller hung up.

    Most get their message at once, and whoever gets one is asked whether somebody still listens:
    a task that watches the caller is only made for a waiter who has to wait.
    """

    def __init__(self, waiter: Waiter, timeout_s: float) -> None:
        self._loop: Final = asyncio.get_running_loop()
        self._waiter: Final = waiter
        self._rest_s: Final = max(0.0, timeout_s - _UNWATCHED_S)
        self._watch: asyncio.Task[None] | None = None
        self._alarm = self._loop.call_later(min(timeout_s, _UNWATCHED_S), self._begin)

    def _begin(self) -> None:
        self._alarm = self._loop.call_later(self._rest_s, self._waiter.give_up)
        self._watch = self._loop.create_task(self._waiter.caller.hung_up())
        self._watch.add_done_callback(lambda _: self._waiter.give_up())

    def end(self) -> None:
        """Leave the waiter alone."""
        self._alarm.cancel()
        if self._watch is not None:
            self._watch.cancel()
