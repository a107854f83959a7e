"""What visitors do within a request: join, ask where they stand, stay, leave.

Nothing is stored for each visitor but bits. Where one stands is answered from the copy of the line
that this process keeps; whenever that copy would refuse somebody, the store itself has the last
word, so that visitors see what they did themselves.
"""

from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from models.errors import UnauthenticatedError, UnavailableError
from models.events import Publisher
from models.rooms import codes, facts, identities, joining, scripts, visitor_facts
from models.rooms.joining import Joining
from models.rooms.passes import RENEWED_BEFORE_MS, Passes, Recent, Visitor
from models.rooms.refusals import (
    ForeignTokenError,
    PositionExpiredError,
    PositionNotFoundError,
    refusal_of,
)
from models.rooms.registry import Registry
from models.rooms.room import FailMode, Room
from models.rooms.rules import Arrival, Entry, Joined, Left, LineState, Place, Standing, State
from models.rooms.sight import Sight
from models.rooms.trips import Batches, Trips
from models.rooms.visitors import Note, Notes
from models.rooms.visits import Visits
from models.rooms.whereabouts import Departed, Entered, Whereabouts
from models.tokens.ring import ExpiredTokenError, InvalidTokenError

# A page that is loaded again shows a sign of life well within this; no sooner than the interval.
_RELOAD_MS: Final = 5_000
# So many who left lately are asked about in the store and not in the copy.
_LEFT_KEPT: Final = 10_000
# Of so many it is known when they were heard of here last.
_HEARD_KEPT: Final = 100_000


class RoomService:
    """The visitors of all rooms, as one process serves them."""

    def __init__(
        self,
        *,
        registry: Registry,
        sight: Sight,
        passes: Passes,
        trips: Trips,
        visits: Visits,
        notes: Notes,
        publisher: Publisher,
        clock: Callable[[], int],
    ) -> None:
        self._registry: Final = registry
        self._sight: Final = sight
        self._passes: Final = passes
        self._trips: Final = trips
        self._visits: Final = visits
        self._notes: Final = notes
        self._publisher: Final = publisher
        self._clock: Final = clock
        self._joins: Final = Batches[Arrival, Joined](trips, scripts.join, self._note_joined)
        self._beats: Final = Batches[Place, int](trips, _beat_all)
        self._left: Final = Recent[bool](_LEFT_KEPT)
        self._heard: Final = Recent[int](_HEARD_KEPT)

    async def join(self, room_id: str, who: Joining) -> Entered:
        """Give somebody a place, or say which one is theirs.

        Raises RoomNotFoundError, RoomFullError, MaintenanceError, RoomClosedError,
        UnavailableError, and what `joining.lane_of` raises.
        """
        room = await self._registry.find(room_id)
        try:
            if who.token is not None:
                held = await self._held(room, who.token)
                if held is not None:
                    return Entered(held, is_new=False)
            lane, code = joining.lane_of(room, who, now_ms=self._clock())
            digest = joining.digest_of(room, who, code)
            joined = await self._joins.put(room_id, Arrival(lane, digest))
        except UnavailableError:
            passed = await self._visits.let_through(room)
            if passed is None:
                raise
            return Entered(passed, is_new=True)
        if joined.place is None:
            raise refusal_of(room_id, joined.entry)
        if joined.entry is Entry.JOINED and code is not None:
            await self._spend(room, code, joined.place)
        visitor = await self._passes.issue(room, joined.place)
        await self._sight.begin(room)
        if joined.entry is Entry.KNOWN:
            return Entered(await self._ask(room, visitor), is_new=False)
        return Entered(self._newcomer(room, visitor, who, joined), is_new=True)

    async def _spend(self, room: Room, code: codes.Code, place: Place) -> None:
        """Count a place that a code gave; when that was one too many, take it back and refuse."""
        if code.uses_max == codes.UNLIMITED:
            return
        if not await self._trips.run(scripts.spend_code(room.id, code)):
            await self._trips.run(scripts.leave(room.id, place))
            raise codes.UsedCodeError(code.uses_max)

    async def status(self, room_id: str, token: str) -> Whereabouts:
        """Say where a visitor stands; who was admitted and asks is in from then on.

        Raises RoomNotFoundError, InvalidTokenError, ForeignTokenError, PositionNotFoundError for
        who left, PositionExpiredError, or UnavailableError.
        """
        room = self._registry.known(room_id) or await self._registry.find(room_id)
        visitor = self._passes.known_visitor(room, token) or await self._visitor(room, token)
        return await self._look(room, visitor)

    async def beat(self, room_id: str, token: str) -> Whereabouts:
        """Note a sign of life; it counts when this returns.

        Raises as `status` does, but PositionExpiredError for who left, too.
        """
        room = self._registry.known(room_id) or await self._registry.find(room_id)
        visitor = self._passes.known_visitor(room, token) or await self._visitor(room, token)
        try:
            found = await self._look(room, visitor)
        except PositionNotFoundError:
            raise PositionExpiredError(visitor.position_id, self._clock()) from None
        if found.admitted is None:
            await self._note_beat(room, visitor)
        return found

    async def fade(self, room_id: str, token: str) -> Whereabouts:
        """Note that a visitor's page went away: the place is lost soon, unless it comes back.

        Raises as `beat` does.
        """
        room = await self._registry.find(room_id)
        visitor = await self._visitor(room, token)
        try:
            found = await self._look(room, visitor)
        except PositionNotFoundError:
            raise PositionExpiredError(visitor.position_id, self._clock()) from None
        if found.admitted is None:
            within_ms = max(room.heartbeat_interval_ms, _RELOAD_MS)
            place = self._sight.place_of(room, visitor.place)
            await self._trips.run(scripts.fade(room_id, place, within_ms=within_ms))
        return found

    async def leave(self, room_id: str, token: str) -> Departed:
        """Give a place up: in the line, one that was kept inside, or a session.

        Raises RoomNotFoundError, InvalidTokenError, ForeignTokenError, PositionNotFoundError when
        there is none any more, or UnavailableError.
        """
        room = await self._registry.find(room_id)
        try:
            visitor = await self._visitor(room, token)
        except PositionExpiredError as error:
            raise PositionNotFoundError(error.position_id) from None
        place = self._sight.place_of(room, visitor.place)
        left = await self._trips.run(scripts.leave(room_id, place))
        if left is Left.NOTHING:
            raise PositionNotFoundError(visitor.position_id)
        at_ms = self._clock()
        self._left.put(visitor.position_id, value=True)
        self._sight.note_change(room_id)
        event = visitor_facts.cancelled(room_id, visitor.position_id, at_ms=at_ms)
        self._publisher.publish(facts.DOMAIN, [event])
        return Departed(visitor.position_id, at_ms)

    async def visitor(self, room_id: str, token: str) -> tuple[Room, Visitor]:
        """Return who shows a queue token; raises as `status` does for a token that is not good."""
        room = await self._registry.find(room_id)
        return room, await self._visitor(room, token)

    async def follow(self, visitor: Visitor) -> Whereabouts:
        """Say where somebody stands who showed a good token before; it may be over by now.

        Raises as `status` does, and InvalidTokenError once the room was made again.
        """
        room = await self._registry.find(visitor.room_id)
        if identities.position_id(room.secret, visitor.place) != visitor.position_id:
            raise InvalidTokenError
        if visitor.expires_at_ms <= self._clock():
            visitor = await self._passes.issue(room, visitor.place)
        return await self._look(room, visitor)

    async def _visitor(self, room: Room, token: str) -> Visitor:
        try:
            return await self._passes.visitor(room, token)
        except ExpiredTokenError as error:
            if error.claims.get("sub") != f"queue:{room.id}":
                raise ForeignTokenError("queue") from None
            position_id = str(error.claims.get("jti"))
            raise PositionExpiredError(position_id, error.claims["exp"] * 1000) from None

    async def _held(self, room: Room, token: str) -> Whereabouts | None:
        """Return where somebody is who shows a token; None: it is no good, or the place is lost."""
        try:
            visitor = await self._visitor(room, token)
            return await self._ask(room, visitor)
        except UnavailableError:
            raise
        except (
            UnauthenticatedError,
            ForeignTokenError,
            PositionExpiredError,
            PositionNotFoundError,
        ):
            return None

    def _newcomer(self, room: Room, visitor: Visitor, who: Joining, joined: Joined) -> Whereabouts:
        if who.metadata:
            note = Note(
                position_id=visitor.position_id,
                room_id=room.id,
                lane=visitor.place.lane,
                number=visitor.place.number,
                joined_at_ms=joined.at_ms,
                details=who.metadata,
            )
            self._notes.add(note)
        self._heard.put(visitor.position_id, joined.at_ms)
        standing = Standing(State.WAITING, joined.position, joined.length, joined.at_ms)
        line = self._sight.known_line(room.id)
        return self._waiting(room, visitor, standing, line)

    async def _look(self, room: Room, visitor: Visitor) -> Whereabouts:
        """Say where a visitor stands from the copy; from the store where that has the last word."""
        seen = self._sight.glance(room.id) or await self._sight.look(room)
        if seen is None:
            return await self._visits.without_store(room, visitor)
        standing = seen.locate(self._sight.place_of(room, visitor.place))
        if standing.state is not State.WAITING or self._left.get(visitor.position_id):
            return await self._ask(room, visitor)
        if visitor.expires_at_ms - self._clock() < RENEWED_BEFORE_MS:
            visitor = await self._passes.issue(room, visitor.place)
        return self._waiting(room, visitor, standing, seen.line)

    async def _ask(self, room: Room, visitor: Visitor) -> Whereabouts:
        """Say where a visitor stands by the store's word, which gives lost places back."""
        place = self._sight.place_of(room, visitor.place)
        standing = await self._trips.run(scripts.present(room.id, place))
        if standing.state is State.ADMITTED:
            entered = await self._visits.claim(room, visitor, place)
            if entered is not None:
                return Whereabouts(room, visitor, 0, standing.length, admitted=entered)
            standing = replace(standing, state=State.WAITING, position=1)
        if standing.state is State.WAITING:
            visitor = await self._passes.issue(room, visitor.place)
            line = self._sight.known_line(room.id)
            return self._waiting(room, visitor, standing, line)
        if standing.state is State.EXPIRED:
            raise PositionExpiredError(visitor.position_id, self._gone_at_ms(room, visitor))
        raise PositionNotFoundError(visitor.position_id)

    def _waiting(
        self, room: Room, visitor: Visitor, standing: Standing, line: LineState | None
    ) -> Whereabouts:
        estimate = self._sight.estimate(room, line, visitor.place, standing.position)
        drawn = self._sight.drawn(room)
        return Whereabouts(room, visitor, standing.position, standing.length, estimate, drawn=drawn)

    async def _note_beat(self, room: Room, visitor: Visitor) -> None:
        place = self._sight.place_of(room, visitor.place)
        try:
            at_ms = await self._beats.put(room.id, place)
        except UnavailableError:
            if room.fail_mode is not FailMode.HOLD:
                raise
            return  # nobody is taken out for silence while nobody can be heard
        self._heard.put(visitor.position_id, at_ms)

    def _note_joined(self, room_id: str, results: Sequence[Joined]) -> None:
        """Tell of a batch of joins, as one event."""
        new = [each for each in results if each.entry is Entry.JOINED]
        if new:
            self._sight.note_change(room_id, len(new))
            event = visitor_facts.joined(
                room_id, count=len(new), length=new[-1].length, at_ms=new[-1].at_ms
            )
            self._publisher.publish(facts.DOMAIN, [event])

    def _gone_at_ms(self, room: Room, visitor: Visitor) -> int:
        """Return when a visitor was lost, as far as this process knows; now at the latest."""
        now_ms = self._clock()
        heard_at_ms = self._heard.get(visitor.position_id)
        return (
            now_ms if heard_at_ms is None else min(now_ms, heard_at_ms + room.heartbeat_timeout_ms)
        )


def _beat_all(room_id: str, places: Sequence[Place]) -> scripts.Call[list[int]]:
    call = scripts.beat(room_id, places)
    count = len(places)
    return scripts.Call(
        call.script, call.room_id, call.arguments, lambda answer: [call.read(answer)] * count
    )
