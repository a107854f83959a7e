"""Who is let through: all decisions, without any I/O.

`decide` is a generator: it yields what Stanchion must be asked and is sent the answer, or None when
none came. So ASGI and WSGI differ in nothing but how they ask.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from threading import Lock
from typing import Any, Final

from jwt import PyJWTError

from stanchion_client.protect import replies
from stanchion_client.protect.protection import Protection
from stanchion_client.protect.replies import Reply
from stanchion_client.protect.tokens import (
    KeySet,
    OverSessionError,
    Session,
    SessionError,
    UnknownKeyError,
)
from stanchion_client.protect.visits import SESSION_HEADER, Visit

# Tokens with made-up keys shall not make us ask each time, nor a server that is away.
_ASKED_AGAIN_AFTER_S: Final = 5.0
_SESSIONS_MAX: Final = 100_000
_OVER: Final = frozenset({401, 403, 404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request to Stanchion."""

    method: str
    path: str
    token: str | None = None
    body: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of Stanchion; `body` is what its JSON says, None for anything else."""

    status: int
    body: Any


# Who is let through without a session, by a path that needs none or because nobody can be asked,
# is None.
Verdict = Reply | Session | None
Steps = Generator[Ask, Told | None, Verdict]


class Gate:
    """Decides about requests; safe for threads."""

    def __init__(
        self, protection: Protection, *, elapsed_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._protection: Final = protection
        self._elapsed_s: Final = elapsed_s
        self._keys: KeySet | None = None
        self._keys_at_s = self._asked_at_s = -math.inf
        self._is_reachable = False
        self._told: Final = _Told(_SESSIONS_MAX)

    def decide(self, visit: Visit) -> Steps:
        """Return the session of a visit, None if it needs none, or what to answer instead."""
        protection = self._protection
        if visit.is_below(protection.excluded):
            return None
        in_address = visit.parameter(protection.parameter)
        token = in_address or _token_shown(visit, protection)
        if token is None:
            return (yield from self._refuse(visit))
        try:
            session = yield from self._session(token)
        except OverSessionError:
            return (yield from self._refuse(visit))
        except SessionError:
            # Leading to the room, whose page would lead back here, might go round.
            reply = replies.no_session(protection) if in_address else None
            return (yield from self._refuse(visit, reply))
        if in_address and visit.is_navigation():
            return replies.welcome(visit, protection, session)
        session = yield from self._tell(session, visit)
        return (yield from self._refuse(visit)) if self._told.is_over(session.id) else session

    def end(self, session: Session) -> Ask:
        """Return the request that ends a session: its slot goes to the next in line."""
        self._told.end(session.id)
        return Ask(method="DELETE", path=f"/api/v1/sessions/{session.id}", token=session.token)

    def _refuse(
        self, visit: Visit, reply: Reply | None = None
    ) -> Generator[Ask, Told | None, Reply | None]:
        """Return what a visit without a session is answered; None lets it in all the same."""
        if self._protection.lets_in_when_away:
            # Known keys say nothing about whether the room can be reached by now.
            yield from self._ask_for_keys(older_than_s=_ASKED_AGAIN_AFTER_S)
            if not self._is_reachable:
                return None
        else:
            yield from self._ask_for_keys(older_than_s=self._protection.keys_fresh_s)
            if self._keys is None:
                return replies.away(visit, self._protection)
        return reply or replies.to_the_room(visit, self._protection)

    def _session(self, token: str) -> Generator[Ask, Told | None, Session]:
        """Return the session of a token; raises SessionError."""
        room_id = self._protection.room_id
        yield from self._ask_for_keys(older_than_s=self._protection.keys_fresh_s)
        if self._keys is not None:
            with suppress(UnknownKeyError):
                return self._keys.check(token, room_id)
        yield from self._ask_for_keys(older_than_s=_ASKED_AGAIN_AFTER_S)
        if self._keys is None:
            raise UnknownKeyError("no key is known")
        return self._keys.check(token, room_id)

    def _ask_for_keys(self, *, older_than_s: float) -> Generator[Ask, Told | None, None]:
        """Ask for the keys when they are that old; those there are stay good without an answer."""
        now_s = self._elapsed_s()
        if now_s - max(self._asked_at_s, self._keys_at_s) < _ASKED_AGAIN_AFTER_S:
            return
        if now_s - self._keys_at_s < older_than_s:
            return
        self._asked_at_s = now_s
        told = yield Ask(method="GET", path="/.well-known/jwks.json")
        self._is_reachable = False
        if told is not None and told.status == HTTPStatus.OK:
            # What is no set of keys was sent by something else that answers there.
            with suppress(ValueError, TypeError, AttributeError, PyJWTError):
                self._keys, self._keys_at_s = KeySet(told.body), now_s
                self._is_reachable = True

    def _tell(self, session: Session, visit: Visit) -> Generator[Ask, Told | None, Session]:
        """Tell that a session is active, now and then, and learn so whether it was ended.

        Returns the session, renewed where the room lets it go on for longer.
        """
        every_s = self._protection.told_every_s
        if not every_s or not self._told.is_due(session.id, every_s, now_s=self._elapsed_s()):
            return session
        body = {"action": "page_view", "page": visit.path[:500]}
        path = f"/api/v1/sessions/{session.id}/activity"
        told = yield Ask(method="POST", path=path, token=session.token, body=body)
        if told is None:
            return session
        if told.status in _OVER:
            self._told.end(session.id)
        token = told.body.get("session_token") if isinstance(told.body, dict) else None
        if token is None or self._keys is None:
            return session
        with suppress(SessionError):
            return replace(self._keys.check(token, session.room_id), is_renewed=True)
        return session


class _Told:
    """When each session was told of last, and which ones are over; the oldest are forgotten."""

    def __init__(self, size_max: int) -> None:
        self._size_max: Final = size_max
        self._at_s: Final[OrderedDict[str, float]] = OrderedDict()
        self._over: Final[OrderedDict[str, None]] = OrderedDict()
        self._lock: Final = Lock()

    def is_due(self, session_id: str, every_s: float, *, now_s: float) -> bool:
        """Say whether it is time to tell, which counts as told."""
        with self._lock:
            if now_s - self._at_s.get(session_id, -math.inf) < every_s:
                return False
            self._at_s[session_id] = now_s
            self._at_s.move_to_end(session_id)
            if len(self._at_s) > self._size_max:
                self._at_s.popitem(last=False)
            return True

    def end(self, session_id: str) -> None:
        with self._lock:
            self._over[session_id] = None
            if len(self._over) > self._size_max:
                self._over.popitem(last=False)

    def is_over(self, session_id: str) -> bool:
        return session_id in self._over


def _token_shown(visit: Visit, protection: Protection) -> str | None:
    return visit.headers.get(SESSION_HEADER) or visit.cookie(protection.cookie) or None
