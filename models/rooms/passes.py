"""The tokens of visitors: what they say, and which of them were checked before.

A visitor asks again every few seconds with the same token. Its signature is checked once in each
process, and a new one is made only when the old one is about to end.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from models.rooms import identities
from models.rooms.refusals import ForeignTokenError
from models.rooms.room import Room
from models.rooms.rules import LANES, Place
from models.tokens.issuer import Issuer
from models.tokens.ring import InvalidTokenError

QUEUE: Final = "queue"
SESSION: Final = "session"
QUEUE_TOKEN_MS: Final = 30 * 60_000
# A token with less time left than that is answered with a new one.
RENEWED_BEFORE_MS: Final = 5 * 60_000
Value = TypeVar("Value")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who shows a good queue token."""

    room_id: str
    place: Place
    position_id: str
    token: str
    expires_at_ms: int  # of the token


@dataclass(frozen=True, slots=True)
class SessionPass:
    """What a good session token says."""

    room_id: str
    place: Place
    position_id: str
    session_id: str
    token: str
    issued_at_ms: int
    expires_at_ms: int  # of the token


class Recent(Generic[Value]):
    """Values by key, of which those asked for least recently are forgotten."""

    def __init__(self, count_max: int) -> None:
        """Keep between half of `count_max` and all of it."""
        self._half: Final = max(1, count_max // 2)
        self._young: dict[str, Value] = {}
        self._old: dict[str, Value] = {}

    def get(self, key: str) -> Value | None:
        """Return a value that is kept, else None."""
        found = self._young.get(key)
        if found is None and (found := self._old.get(key)) is not None:
            self.put(key, found)
        return found

    def put(self, key: str, value: Value) -> None:
        """Keep a value."""
        # Two halves instead of a list in order of use: an answer costs one look-up.
        if len(self._young) >= self._half:
            self._young, self._old = {}, self._young
        self._young[key] = value


class Passes:
    """Makes and checks the tokens of visitors in one process."""

    def __init__(self, issuer: Issuer, *, clock: Callable[[], int], kept_max: int) -> None:
        """`kept_max` tokens of each kind are remembered, some 1.5 kB each."""
        self._issuer: Final = issuer
        self._clock: Final = clock
        # With the secret of the room that checked it: one made anew does not know the token.
        self._visitors: Final[Recent[tuple[bytes, Visitor]]] = Recent(kept_max)
        self._sessions: Final[Recent[tuple[bytes, SessionPass]]] = Recent(kept_max)
        self._newest: Final[Recent[Visitor]] = Recent(kept_max)
        self._newest_session: Final[Recent[SessionPass]] = Recent(kept_max)

    def known_visitor(self, room: Room, token: str) -> Visitor | None:
        """Return who shows a token that was checked here before and is good, without waiting."""
        kept = self._visitors.get(token)
        if kept is None or kept[0] != room.secret or kept[1].room_id != room.id:
            return None
        return kept[1] if self._clock() < kept[1].expires_at_ms else None

    async def visitor(self, room: Room, token: str) -> Visitor:
        """Return who shows a queue token.

        Raises InvalidTokenError, ExpiredTokenError or ForeignTokenError for another room's.
        """
        known = self.known_visitor(room, token)
        if known is not None:
            return known
        claims = await self._issuer.check(token, QUEUE)
        if claims.get("sub") != f"queue:{room.id}":
            raise ForeignTokenError("queue")
        place = _place(claims)
        position_id = identities.position_id(room.secret, place)
        if claims.get("jti") != position_id:
            raise InvalidTokenError  # of a room of this name that is no more
        visitor = Visitor(room.id, place, position_id, token, claims["exp"] * 1000)
        self._visitors.put(token, (room.secret, visitor))
        return visitor

    async def issue(self, room: Room, place: Place) -> Visitor:
        """Return the visitor of a place with a token that has at least 5 minutes left."""
        position_id = identities.position_id(room.secret, place)
        newest = self._newest.get(position_id)
        now_ms = self._clock()
        if newest is not None and newest.expires_at_ms - now_ms >= RENEWED_BEFORE_MS:
            return newest
        claims = {
            "jti": position_id,
            "sub": f"queue:{room.id}",
            "lane": place.lane,
            "number": place.number,
        }
        token = await self._issuer.issue(
            QUEUE, claims, algorithm=room.algorithm, life_ms=QUEUE_TOKEN_MS, now_ms=now_ms
        )
        expires_at_ms = (now_ms + QUEUE_TOKEN_MS) // 1000 * 1000
        visitor = Visitor(room.id, place, position_id, token, expires_at_ms)
        self._visitors.put(token, (room.secret, visitor))
        self._newest.put(position_id, visitor)
        return visitor

    def known_session(self, room: Room, place: Place) -> SessionPass | None:
        """Return the newest pass of a session that was made here, if there is one."""
        return self._newest_session.get(identities.session_id(room.secret, place))

    async def issue_session(
        self, room: Room, place: Place, *, started_at_ms: int, expires_at_ms: int
    ) -> SessionPass:
        """Return a session's pass; the same one until the end of the session moves."""
        session_id = identities.session_id(room.secret, place)
        newest = self._newest_session.get(session_id)
        # The token's times are whole seconds.
        if newest is not None and newest.expires_at_ms == expires_at_ms // 1000 * 1000:
            return newest
        position_id = identities.position_id(room.secret, place)
        claims = {
            "jti": session_id,
            "sub": f"session:{room.id}",
            "position_id": position_id,
            "lane": place.lane,
            "number": place.number,
        }
        now_ms = self._clock()
        token = await self._issuer.issue(
            SESSION,
            claims,
            algorithm=room.algorithm,
            life_ms=expires_at_ms - now_ms,
            now_ms=now_ms,
        )
        made = SessionPass(
            room_id=room.id,
            place=place,
            position_id=position_id,
            session_id=session_id,
            token=token,
            issued_at_ms=started_at_ms,
            expires_at_ms=expires_at_ms // 1000 * 1000,
        )
        self._sessions.put(token, (room.secret, made))
        self._newest_session.put(session_id, made)
        return made

    async def session(
        self, token: str, find: Callable[[str], Awaitable[Room]]
    ) -> tuple[Room, SessionPass]:
        """Return what a session token says; `find` raises if there is no such room.

        Raises InvalidTokenError or ExpiredTokenError.
        """
        kept = self._sessions.get(token)
        if kept is not None and self._clock() < kept[1].expires_at_ms:
            secret, known = kept
            room = await find(known.room_id)
            if room.secret == secret:
                return room, known
        claims = await self._issuer.check(token, SESSION)
        kind, _, room_id = str(claims.get("sub")).partition(":")
        if kind != SESSION:
            raise InvalidTokenError
        room, place = await find(room_id), _place(claims)
        session_id = identities.session_id(room.secret, place)
        if claims.get("jti") != session_id:
            raise InvalidTokenError
        found = SessionPass(
            room_id=room_id,
            place=place,
            position_id=identities.position_id(room.secret, place),
            session_id=session_id,
            token=token,
            issued_at_ms=claims.get("iat", 0) * 1000,
            expires_at_ms=claims["exp"] * 1000,
        )
        self._sessions.put(token, (room.secret, found))
        return room, found


def _place(claims: Mapping[str, Any]) -> Place:
    lane, number = claims.get("lane"), claims.get("number")
    if not isinstance(lane, int) or not isinstance(number, int):
        raise InvalidTokenError
    if lane not in LANES or number < 0:
        raise InvalidTokenError
    return Place(lane, number)
