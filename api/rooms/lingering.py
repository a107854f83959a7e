"""Whoever was told the last word and does not hang up is put out."""

from collections import deque
from typing import Final

from api.rooms.audience import Listener

_LINGER_S: Final = 10.0


class Lingering:
    """Those who were told the last word, in the order in which they were."""

    def __init__(self) -> None:
        self._listeners: Final[deque[tuple[float, Listener]]] = deque()

    def add(self, listener: Listener, now_s: float) -> None:
        """Remember somebody who was told the last word now."""
        self._listeners.append((now_s + _LINGER_S, listener))

    async def put_out(self, now_s: float) -> None:
        """Put out who is still there and has had time to hang up."""
        while self._listeners and self._listeners[0][0] <= now_s:
            _, listener = self._listeners.popleft()
            if listener.present is not None:
                await listener.present.dismiss()
