"""Calls about sessions: those who are inside."""

from typing import Any, Final

from models.rooms.rules import Claim, Place, Session, SessionPage, State
from models.rooms.scripts.calls import (
    AFTER_RESTART,
    DRAWN_NUMBERS,
    SESSION_END,
    Call,
    Script,
)

_CLAIM: Final = Script("claim_session.lua", (DRAWN_NUMBERS,))
_USE: Final = Script("use_session.lua", (SESSION_END,))
_RESTORE: Final = Script("recount_session.lua", (AFTER_RESTART, DRAWN_NUMBERS))
_LIST: Final = Script("list_sessions.lua")
_STATES: Final = {
    1: State.ADMITTED,
    2: State.ADMITTED,
    3: State.EXPIRED,
    0: State.WAITING,
    -1: State.GONE,
    -2: State.EXPIRED,
    -3: State.UNKNOWN,
}
_BEGUN: Final = 1


def claim(
    room_id: str, place: Place, *, session_id: str, life_ms: int, now_ms: int = 0
) -> Call[Claim]:
    """Begin the session of an admitted place, once: a repeat finds the same session.

    `session_id` is the same for each claim of a place.
    """

    def read(answer: Any) -> Claim:
        state, at_ms, *rest = answer
        session = None
        if rest:
            began, ends, seen, views, over = rest
            session = Session(
                id=session_id,
                place=place,
                began_at_ms=began,
                ends_at_ms=ends,
                seen_at_ms=seen,
                views=views,
                over=over.decode(),
            )
        is_new = state == _BEGUN
        return Claim(state=_STATES[state], at_ms=at_ms, session=session, is_new=is_new)

    arguments = (now_ms, place.lane, place.number, session_id, life_ms)
    return Call(_CLAIM, room_id, arguments, read)


def read_session(room_id: str, place: Place, *, now_ms: int = 0) -> Call[Session | None]:
    """Read the session of a place, over or not; None when there is none, or none any more."""
    return _session(room_id, place, now_ms=now_ms)


def touch_session(
    room_id: str,
    place: Place,
    *,
    views: int = 1,
    extend_ms: int = 0,
    cap_ms: int = 0,
    now_ms: int = 0,
) -> Call[Session | None]:
    """Note that a session is used; one that is over stays over.

    It then lasts for `extend_ms` from now on, but no longer than `cap_ms` in all, and is never
    shortened.
    """
    return _session(room_id, place, views=views, extend_ms=extend_ms, cap_ms=cap_ms, now_ms=now_ms)


def end_session(
    room_id: str, place: Place, *, reason: str = "terminated", now_ms: int = 0
) -> Call[Session | None]:
    """End a session and free its slot; `was_ended_now` tells whether this call did."""
    return _session(room_id, place, reason=reason, now_ms=now_ms)


def restore_session(
    room_id: str,
    place: Place,
    *,
    session_id: str,
    began_at_ms: int,
    ends_at_ms: int,
    now_ms: int = 0,
) -> Call[bool]:
    """Count a session again that the store lost when it died; say whether it was.

    Only for a session that a signed token proves, when `read_session` found none.
    """
    arguments = (now_ms, place.lane, place.number, session_id, began_at_ms, ends_at_ms)
    return Call(_RESTORE, room_id, arguments, lambda answer: bool(answer[0]))


def sessions(
    room_id: str, *, offset: int = 0, count: int = 100, now_ms: int = 0
) -> Call[SessionPage]:
    """List sessions that are under way, those that end first first."""
    return Call(_LIST, room_id, (now_ms, offset, count, ""), _read_page)


def find_session(room_id: str, session_id: str, *, now_ms: int = 0) -> Call[Session | None]:
    """Find a session that is under way by its id."""

    def read(answer: Any) -> Session | None:
        found = _read_page(answer).sessions
        return found[0] if found else None

    return Call(_LIST, room_id, (now_ms, 0, 1, session_id), read)


def _session(
    room_id: str,
    place: Place,
    *,
    views: int = -1,
    extend_ms: int = 0,
    cap_ms: int = 0,
    reason: str = "",
    now_ms: int,
) -> Call[Session | None]:
    def read(answer: Any) -> Session | None:
        if len(answer) == 1:
            return None
        _, session_id, began, ends, seen, held_views, over, over_at_ms, was_ended = answer
        return Session(
            id=session_id.decode(),
            place=place,
            began_at_ms=began,
            ends_at_ms=ends,
            seen_at_ms=seen,
            views=held_views,
            over=over.decode(),
            over_at_ms=over_at_ms,
            was_ended_now=bool(was_ended),
        )

    arguments = (now_ms, place.lane, place.number, views, extend_ms, cap_ms, reason)
    return Call(_USE, room_id, arguments, read)


def _read_page(answer: Any) -> SessionPage:
    at_ms, total, *rest = answer
    sessions = []
    for index in range(0, len(rest), 7):
        lane, number, session_id, began, ends, seen, views = rest[index : index + 7]
        sessions.append(
            Session(
                id=session_id.decode(),
                place=Place(lane, number),
                began_at_ms=began,
                ends_at_ms=ends,
                seen_at_ms=seen,
                views=views,
            )
        )
    return SessionPage(at_ms=at_ms, total=total, sessions=tuple(sessions))
