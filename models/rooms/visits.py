"""Sessions within a request: who was admitted comes in, is active, and is out."""

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from models.errors import UnavailableError
from models.events import Publisher
from models.rooms import facts, identities, scripts, visitor_facts
from models.rooms.passes import Passes, SessionPass, Visitor
from models.rooms.refusals import (
    ForeignTokenError,
    PositionExpiredError,
    PositionNotFoundError,
    SessionExpiredError,
    SessionNotFoundError,
)
from models.rooms.registry import Registry
from models.rooms.room import Room
from models.rooms.rules import Place, Session, State
from models.rooms.sight import Sight, is_open
from models.rooms.trips import Trips
from models.rooms.whereabouts import Whereabouts
from models.tokens.ring import ExpiredTokenError

# Places that were given to visitors while no line could be asked for one: no line gets as far.
_BEYOND: Final = 2**52
_BEYOND_BITS: Final = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """A session that goes on; `new_token` is there when the one shown ends much sooner."""

    room_id: str
    session_id: str
    position_id: str
    started_at_ms: int
    expires_at_ms: int
    active_at_ms: int
    page_views: int
    left_ms: int
    new_token: str | None = None


class Visits:
    """The sessions of all rooms, as one process serves them."""

    def __init__(
        self,
        registry: Registry,
        sight: Sight,
        passes: Passes,
        trips: Trips,
        publisher: Publisher,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._registry: Final = registry
        self._sight: Final = sight
        self._passes: Final = passes
        self._trips: Final = trips
        self._publisher: Final = publisher
        self._clock: Final = clock

    async def claim(self, room: Room, visitor: Visitor, place: Place) -> SessionPass | None:
        """Let an admitted visitor in, once; None for who still waits, after a loss of the store.

        Raises PositionExpiredError when the slot was not claimed in time or the session is over,
        PositionNotFoundError, or UnavailableError.
        """
        session_id = identities.session_id(room.secret, visitor.place)
        claim = await self._trips.run(
            scripts.claim(room.id, place, session_id=session_id, life_ms=room.session_ms)
        )
        session = claim.session
        if claim.state is State.WAITING:
            return None
        if session is None or claim.state is not State.ADMITTED:
            if claim.state is State.EXPIRED:
                over_at_ms = claim.at_ms if session is None else _over_at_ms(session)
                raise PositionExpiredError(visitor.position_id, min(over_at_ms, claim.at_ms))
            raise PositionNotFoundError(visitor.position_id)
        if claim.is_new:
            self._sight.note_change(room.id)
            event = visitor_facts.session_started(
                room.id,
                session_id,
                visitor.position_id,
                started_at_ms=session.began_at_ms,
                ends_at_ms=session.ends_at_ms,
            )
            self._publisher.publish(facts.DOMAIN, [event])
        return await self._passes.issue_session(
            room,
            visitor.place,
            started_at_ms=session.began_at_ms,
            expires_at_ms=session.ends_at_ms,
        )

    async def read(self, session_id: str, token: str) -> Visit:
        """Return a session to who shows its token.

        Raises InvalidTokenError, ForeignTokenError, SessionNotFoundError, SessionExpiredError,
        RoomNotFoundError or UnavailableError.
        """
        room, shown = await self._shown(session_id, token)
        place = self._sight.place_of(room, shown.place)
        session = await self._trips.run(scripts.read_session(room.id, place))
        if session is None:
            await self._restore(room, shown, place)
            session = await self._trips.run(scripts.read_session(room.id, place))
        return self._visit(shown, session)

    async def act(self, session_id: str, token: str, *, page_views: int) -> Visit:
        """Note that a session is used; raises as `read` does."""
        room, shown = await self._shown(session_id, token)
        place = self._sight.place_of(room, shown.place)
        touch = scripts.touch_session(
            room.id,
            place,
            views=page_views,
            extend_ms=room.session_ms if room.session_renewal else 0,
            cap_ms=room.session_cap_ms,
        )
        session = await self._trips.run(touch)
        if session is None:
            await self._restore(room, shown, place)
            session = await self._trips.run(touch)
        new_token = None
        if session is not None and not session.over and self._is_ending(room, shown, session):
            renewed = await self._passes.issue_session(
                room,
                shown.place,
                started_at_ms=session.began_at_ms,
                expires_at_ms=session.ends_at_ms,
            )
            new_token = renewed.token
        return self._visit(shown, session, new_token)

    async def end(self, session_id: str, token: str) -> int:
        """End a session by its own token, so that the next in line comes in; return when.

        A repeat changes nothing. Raises as `read` does, but not for a session that is over.
        """
        room, shown = await self._shown(session_id, token)
        place = self._sight.place_of(room, shown.place)
        ended = await self._trips.run(scripts.end_session(room.id, place, reason="left"))
        if ended is None:
            raise SessionNotFoundError(session_id)
        if ended.was_ended_now:
            self._sight.note_change(room.id)
            event = facts.session_terminated(room.id, ended, position_id=shown.position_id)
            self._publisher.publish(facts.DOMAIN, [event])
        return _over_at_ms(ended)

    async def check(self, token: str) -> SessionPass:
        """Return what a session token says, by its signature and its room; asks no store.

        Raises InvalidTokenError, ExpiredTokenError or RoomNotFoundError.
        """
        _, shown = await self._passes.session(token, self._registry.find)
        return shown

    async def expect_room(self, room_id: str) -> None:
        """Raise RoomNotFoundError for a room that nobody made; before any was read, say nothing."""
        with contextlib.suppress(UnavailableError):
            await self._registry.find(room_id)

    async def let_through(self, room: Room) -> Whereabouts | None:
        """Let somebody in who has no place, where the room does so while the store is away."""
        if not is_open(room, now_ms=self._clock()):
            return None
        place = Place(0, _BEYOND + secrets.randbits(_BEYOND_BITS))
        return await self.without_store(room, await self._passes.issue(room, place))

    async def without_store(self, room: Room, visitor: Visitor) -> Whereabouts:
        """Let a visitor in without the store; the session's token is as good as any other."""
        now_ms = self._clock()
        admitted = self._passes.known_session(room, visitor.place)
        if admitted is None or admitted.expires_at_ms <= now_ms:
            admitted = await self._passes.issue_session(
                room,
                visitor.place,
                started_at_ms=now_ms,
                expires_at_ms=now_ms + room.session_ms,
            )
        return Whereabouts(room, visitor, 0, 0, admitted=admitted)

    async def _shown(self, session_id: str, token: str) -> tuple[Room, SessionPass]:
        try:
            room, shown = await self._passes.session(token, self._registry.find)
        except ExpiredTokenError as error:
            if error.claims.get("jti") != session_id:
                raise ForeignTokenError("session") from None
            raise SessionExpiredError(session_id, error.claims["exp"] * 1000) from None
        if shown.session_id != session_id:
            raise ForeignTokenError("session")
        return room, shown

    async def _restore(self, room: Room, shown: SessionPass, place: Place) -> None:
        """Have a session counted again that the store lost; its token proves it."""
        await self._trips.run(
            scripts.restore_session(
                room.id,
                place,
                session_id=shown.session_id,
                began_at_ms=shown.issued_at_ms,
                ends_at_ms=shown.expires_at_ms,
            )
        )

    def _is_ending(self, room: Room, shown: SessionPass, session: Session) -> bool:
        left_ms = shown.expires_at_ms - self._clock()
        return left_ms < room.session_ms // 2 and session.ends_at_ms - shown.expires_at_ms >= 1000  # noqa: PLR2004

    def _visit(
        self, shown: SessionPass, session: Session | None, new_token: str | None = None
    ) -> Visit:
        if session is None:
            raise SessionNotFoundError(shown.session_id)
        if session.over:
            raise SessionExpiredError(shown.session_id, _over_at_ms(session))
        return Visit(
            room_id=shown.room_id,
            session_id=shown.session_id,
            position_id=shown.position_id,
            started_at_ms=session.began_at_ms,
            expires_at_ms=session.ends_at_ms,
            active_at_ms=session.seen_at_ms,
            page_views=session.views,
            left_ms=max(session.ends_at_ms - self._clock(), 0),
            new_token=new_token,
        )


def _over_at_ms(session: Session) -> int:
    return session.over_at_ms or session.ends_at_ms
