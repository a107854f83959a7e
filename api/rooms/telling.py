"""Tells the visitors who are connected to this process where they stand, as the line moves.

One loop for all rooms. It reads the copies of their lines, which costs Redis nothing for each
visitor, and writes only what changed: a place within a second of its change, at most once a second
to each. Whoever does not wait any more, let in or not, is asked about by a second loop, many at
once. No visitor has a task or a timer here.

While the store is away nothing is told, since nobody knows; what is known afterwards is.
"""

import asyncio
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import structlog

from api.live.channel import Present
from api.rooms.audience import UNTOLD, Listener
from api.rooms.frames import (
    ADMITTED,
    EXPIRED,
    PLACE,
    TOKEN_EXPIRED,
    admitted_data,
    expired_data,
    place_data,
)
from api.rooms.halls import Hall
from api.rooms.lingering import Lingering
from models.errors import StanchionError, UnavailableError
from models.rooms.estimates import Estimate
from models.rooms.line_copy import LineCopy
from models.rooms.passes import Visitor
from models.rooms.refusals import PositionExpiredError
from models.rooms.registry import Registry
from models.rooms.room import Room
from models.rooms.rules import Place, State
from models.rooms.service import RoomService
from models.rooms.sight import Sight
from models.rooms.whereabouts import Whereabouts

log: Final = structlog.get_logger(__name__)

# How often the lines are looked at: a part of the time in which an admission is told.
_ROUND_S: Final = 0.1
# Others get their turn after so many.
_TOLD_AT_ONCE: Final = 250
# Each who is let in costs a signature, and while those are made nothing else is.
_ASKED_AT_ONCE: Final = 50
_RETRY_S: Final = 0.5
_EXACT_BITS: Final = 7
_NO_PLACE: Final = Place(0, 0)  # of a listener who is in no audience


class Teller:
    """Tells all visitors of this process."""

    def __init__(self, service: RoomService, sight: Sight, registry: Registry) -> None:
        self._service: Final = service
        self._sight: Final = sight
        self._registry: Final = registry
        self._halls: Final[dict[str, Hall]] = {}
        self._off: Final[deque[Listener]] = deque()  # who does not wait, and is to be told why
        self._is_off: Final = asyncio.Event()
        self._lingering: Final = Lingering()
        self._blind_until_s = 0.0

    async def welcome(self, room_id: str, token: str) -> Listener:
        """Return the listener of a queue token, which `enter` tells what is found here.

        For who was let in this is the first contact, at which the session begins. Raises
        InvalidTokenError, ForeignTokenError or RoomNotFoundError. While the store is away whoever
        has a good token may come in, and hears as soon as something is known.
        """
        try:
            _, visitor = await self._service.visitor(room_id, token)
        except PositionExpiredError:  # the token is ours, and too old
            listener = Listener(Visitor(room_id, _NO_PLACE, "", token, 0))
            listener.last = EXPIRED, TOKEN_EXPIRED
            return listener
        listener = Listener(visitor)
        with suppress(UnavailableError):
            await self._ask(listener)
        return listener

    def enter(self, listener: Listener, present: Present) -> None:
        """Tell somebody what is known already, and from now on what changes."""
        listener.present = present
        if listener.last is not None:
            self._finish(listener)
            return
        if listener.position != UNTOLD:
            self._tell(listener)
        self._take_in(listener)

    def leave(self, listener: Listener) -> None:
        """Let somebody go; a repeat changes nothing."""
        listener.present = None
        self._take_out(listener)

    async def beat(self, listener: Listener) -> None:
        """Note a sign of life; raises UnavailableError while the store is away."""
        if listener.is_over:
            return
        token = listener.visitor.token
        try:
            found = await self._service.beat(listener.room_id, token)
            if found.admitted is None and found.visitor.token == token:
                # Where it stands now is told in the next round, which looks for what was not told.
                listener.visitor = found.visitor
            else:
                self._note(listener, found)
        except UnavailableError:
            raise
        except StanchionError as error:
            self._note_end(listener, error)
        if listener.last is not None:
            self._finish(listener)
        elif listener.visitor.token != token:
            self._tell(listener, new_token=listener.visitor.token)

    async def run(self) -> None:
        """Tell, until cancelled."""
        await asyncio.gather(self._go_round(), self._see_off())

    # Places --------------------------------------------------------------------------------------

    async def _go_round(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            for hall in list(self._halls.values()):
                try:
                    await self._look_round(hall, loop.time())
                except Exception:  # a bug in one room shall not silence the others
                    log.exception("visitors_not_told", room_id=hall.room_id)
            await self._lingering.put_out(loop.time())
            due_s = max(due_s + _ROUND_S, loop.time())
            await asyncio.sleep(due_s - loop.time())

    async def _look_round(self, hall: Hall, now_s: float) -> None:
        """See off who left the line of a room, and tell the others what changed."""
        room = self._registry.known(hall.room_id)
        try:
            copy = None if room is None else await self._copy(room, now_s)
        except UnavailableError:  # nobody knows how it stands
            return
        if room is None or copy is None:  # deleted; or open to everybody while the store is away
            self._send_off(hall, list(hall.audience))
            return
        line = copy.line
        seen = (line.epoch, copy.version, line.heads, line.tails, line.waits, room.version)
        if seen != hall.seen:
            hall.seen = seen
            if room.draw:
                hall.move(lambda own: self._sight.place_of(room, own))
            self._send_off(hall, hall.audience.take_passed(line))
        if not hall.is_due(seen, now_s):
            return
        hall.walked = seen
        news, gone = hall.walk(copy, now_s, version=room.version)
        self._send_off(hall, gone)
        for n, listener in enumerate(news, start=1):
            self._tell(listener, waits=hall.waits)
            if n % _TOLD_AT_ONCE == 0:
                await asyncio.sleep(0)

    async def _copy(self, room: Room, now_s: float) -> LineCopy | None:
        """Return a line that can be believed, None where nobody is held back; as `Sight.look`."""
        copy = self._sight.glance(room.id)
        if copy is not None:
            return copy
        if now_s < self._blind_until_s:
            raise UnavailableError("redis", "it did not answer a moment ago")
        try:
            return await self._sight.look(room)
        except UnavailableError:
            # Other rooms shall not wait for the same answer.
            self._blind_until_s = asyncio.get_running_loop().time() + _RETRY_S
            raise

    def _take_in(self, listener: Listener) -> None:
        """Have somebody hear of changes."""
        room = self._registry.known(listener.room_id)
        if room is not None:
            listener.place = self._sight.place_of(room, listener.own)
        hall = self._halls.get(listener.room_id)
        if hall is None:
            hall = self._halls[listener.room_id] = Hall(listener.room_id)
        hall.audience.add(listener)
        # Also if the line stands still: what was said a moment ago may be old by now.
        hall.seen, hall.due_s = None, 0.0

    def _take_out(self, listener: Listener) -> None:
        hall = self._halls.get(listener.room_id)
        if hall is not None:
            hall.audience.discard(listener)
            self._close_if_empty(hall)

    def _close_if_empty(self, hall: Hall) -> None:
        if not hall.audience and self._halls.get(hall.room_id) is hall:
            del self._halls[hall.room_id]

    async def _ask(self, listener: Listener) -> None:
        """Learn where a visitor is, or how it ended; raises UnavailableError."""
        try:
            found = await self._service.follow(listener.visitor)
            self._note(listener, found)
        except UnavailableError:
            raise
        except StanchionError as error:
            self._note_end(listener, error)

    def _note(self, listener: Listener, found: Whereabouts) -> None:
        listener.visitor = found.visitor
        if found.admitted is not None:
            data = admitted_data(found.admitted.token, found.room.target_url)
            listener.last = ADMITTED, data
        else:
            listener.position, listener.length = found.position, found.length

    def _note_end(self, listener: Listener, error: StanchionError) -> None:
        copy = self._sight.glance(listener.room_id)
        state = None if copy is None else copy.locate(listener.place).state
        was_admitted = state is State.ADMITTED  # the head went by, and nobody was silent
        listener.last = EXPIRED, expired_data(error, was_admitted=was_admitted)

    def _tell(
        self,
        listener: Listener,
        *,
        new_token: str | None = None,
        waits: dict[tuple[int, int], Estimate | None] | None = None,
    ) -> None:
        """Tell somebody the place; `waits` remembers estimates of others who are told too."""
        room = self._registry.known(listener.room_id)
        if listener.present is None or room is None:  # it went a moment ago
            return
        listener.told_s = asyncio.get_running_loop().time()
        listener.version = room.version
        at = listener.place.lane, _rounded(listener.position)
        if waits is None or at not in waits:
            line = self._sight.known_line(room.id)
            estimate = self._sight.estimate(room, line, listener.own, at[1])
            if waits is not None:
                waits[at] = estimate
        else:
            estimate = waits[at]
        drawn = self._sight.drawn(room)
        data = place_data(
            room, listener.position, listener.length, estimate, drawn=drawn, new_token=new_token
        )
        listener.present.send(PLACE, data)

    # The last word -------------------------------------------------------------------------------

    def _send_off(self, hall: Hall, listeners: Iterable[Listener]) -> None:
        """Have the store asked about visitors who do not wait any more."""
        for listener in listeners:
            hall.audience.discard(listener)
            self._off.append(listener)
        if self._off:
            self._is_off.set()
        self._close_if_empty(hall)

    async def _see_off(self) -> None:
        while True:
            await self._is_off.wait()
            self._is_off.clear()
            while self._off:
                some = [self._off.popleft() for _ in range(min(len(self._off), _ASKED_AT_ONCE))]
                known = await asyncio.gather(*map(self._ask_again, some))
                if not all(known):
                    await asyncio.sleep(_RETRY_S)

    async def _ask_again(self, listener: Listener) -> bool:
        """Tell somebody how it ended, or take them in again; say whether the store knew."""
        if listener.present is None or listener.is_over:
            return True
        try:
            await self._ask(listener)
        except UnavailableError:
            self._off.append(listener)
            return False
        except Exception:  # a bug met by one visitor shall not silence the others
            log.exception("visitor_not_told", room_id=listener.room_id)
            await listener.present.dismiss()
            return True
        if listener.present is None:  # it went while the store was asked
            return True
        if listener.last is not None:
            self._finish(listener)
        else:  # it waits after all: the copy was behind, or the store gave a lost place back
            self._tell(listener)
            self._take_in(listener)
        return True

    def _finish(self, listener: Listener) -> None:
        """Say the last word, once."""
        if listener.is_over or listener.last is None or listener.present is None:
            return
        listener.is_over = True
        self._take_out(listener)
        listener.present.send(*listener.last)
        self._lingering.add(listener, asyncio.get_running_loop().time())


def _rounded(position: int) -> int:
    """Return a position for an estimate: to 1 %, so that neighbours far behind share theirs."""
    more = max(position.bit_length() - _EXACT_BITS, 0)
    return position >> more << more
