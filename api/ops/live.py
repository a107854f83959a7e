"""Socket.IO `/ops`: how every queue stands, told to staff as it changes, at most once a second.

A client is told `overview` and `hour` when it comes, then `overview` within a second of whatever
happens in any domain, the last state for all that happened, and `minute` as workers look. Whoever
reads too slowly is left out until it has read, and then gets the state of then.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

import msgspec

from api.auth.table import OPS_SOCKET
from api.live.channel import Admission, Channel, Present
from api.live.tail import LiveEvent, StreamTail
from api.ops.hour import Hour
from api.ops.overview import Overview
from models import pulse
from models.errors import UnavailableError
from models.events import Event

_PAUSE_S: Final = 1.0
# Ages grow, and components fall ill, without an event.
_REGULARLY_S: Final = 5.0
_encode: Final = msgspec.json.Encoder().encode


class OpsLive:
    """Follows every domain's stream while somebody looks, and tells what the overview is then."""

    def __init__(
        self, overview: Overview, hour: Hour, tail: StreamTail, others: Sequence[StreamTail]
    ) -> None:
        self.tail: Final = tail
        self._overview: Final = overview
        self._hour: Final = hour
        self._others: Final = others
        self._present: Final[set[Present]] = set()
        self._has_news: Final = asyncio.Event()

    def channel(self) -> Channel:
        """Return what is served."""
        return Channel(
            domain=pulse.DOMAIN,
            at=OPS_SOCKET,
            admit=_admit,
            initial=self._initial,
            entered=self._enter,
            left=self._leave,
        )

    async def run(self) -> None:
        """Read the stream and tell what changes, until cancelled."""
        await asyncio.gather(self.tail.run(), self._tell())

    async def take(self, events: Sequence[LiveEvent]) -> None:
        """Note that something happened; what it was, the overview says."""
        del events
        self._has_news.set()

    def lose_place(self) -> None:
        """Note that something happened."""
        self._has_news.set()

    async def _tell(self) -> None:
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            if not self._present:
                continue
            await asyncio.gather(*(tail.follow(self) for tail in self._others))
            while self._present:
                self._has_news.clear()
                told = _encode(await self._overview.view())
                for present in list(self._present):
                    if present.keeps_up:
                        present.send("overview", told)
                await asyncio.sleep(_PAUSE_S)
                await self._wait_for_news()
            for tail in self._others:
                tail.leave(self)

    async def _wait_for_news(self) -> None:
        try:
            await asyncio.wait_for(self._has_news.wait(), _REGULARLY_S)
        except TimeoutError:
            return

    async def _initial(self, _admission: Admission) -> Sequence[Event]:
        try:
            hour = await self._hour.view()
        except UnavailableError:  # what is known is told all the same, and minutes come later
            return []
        return [Event("hour", msgspec.to_builtins(hour))]

    def _enter(self, present: Present) -> None:
        self._present.add(present)
        self._has_news.set()

    def _leave(self, present: Present) -> None:
        self._present.discard(present)
        self._has_news.set()  # let go of the streams at once if that was the last


async def _admit(_caller: object, _asked: object) -> Admission:
    return Admission()
