"""Who is inside, as an admin sees it: sessions listed and ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
import structlog

from models import audit
from models.audit import Actor, Change
from models.database import Database
from models.errors import UnavailableError
from models.events import Publisher
from models.redis import RedisAwayError
from models.rooms import facts, identities, scripts
from models.rooms.refusals import SessionNotFoundError
from models.rooms.registry import Registry
from models.rooms.room import Room
from models.rooms.rules import Session
from models.rooms.statements import visitors

_log: Final = structlog.get_logger(__name__)

# How many rooms are asked for a session in one trip.
_ROOMS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Insider:
    """Somebody inside; `details` are what the visitor said when joining, if that is known."""

    session: Session
    position_id: str
    details: Mapping[str, Any] | None


class Inside:
    """The sessions of all rooms."""

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        registry: Registry,
        publisher: Publisher,
    ) -> None:
        self._database: Final = database
        self._client: Final = client
        self._registry: Final = registry
        self._publisher: Final = publisher

    async def page(self, room_id: str, *, offset: int, count: int) -> tuple[int, list[Insider]]:
        """Return how many sessions there are, and some of them, those that end first first.

        With the database away nothing is known of what visitors said. Raises RoomNotFoundError,
        or UnavailableError while Redis is away.
        """
        room = await self._registry.find(room_id)
        try:
            call = scripts.sessions(room.id, offset=offset, count=count)
            page = await scripts.run_async(self._client, call)
        except RedisAwayError as error:
            raise UnavailableError("redis", str(error)) from error
        ids = [identities.position_id(room.secret, each.place) for each in page.sessions]
        details = await self._details(ids)
        insiders = [
            Insider(session=session, position_id=position_id, details=details.get(position_id))
            for session, position_id in zip(page.sessions, ids, strict=True)
        ]
        return page.total, insiders

    async def end(self, session_id: str, reason: str, actor: Actor, *, now_ms: int) -> Session:
        """End a session and free its place; its token is void from now on.

        Raises SessionNotFoundError when there is none under way, or UnavailableError while Redis
        is away. It is over also when the database is away; then the log of changes lacks it.
        """
        try:
            room, found = await self._find(session_id)
            if found.over:
                raise SessionNotFoundError(session_id)
            # First, so that nothing is done that nobody can find out about.
            await self._note_end(room, session_id, reason, actor, now_ms=now_ms)
            call = scripts.end_session(room.id, found.place, reason=reason)
            ended = await scripts.run_async(self._client, call)
        except RedisAwayError as error:
            raise UnavailableError("redis", str(error)) from error
        if ended is None or not ended.was_ended_now:
            raise SessionNotFoundError(session_id)
        position_id = identities.position_id(room.secret, ended.place)
        self._publisher.publish(
            facts.DOMAIN,
            [facts.session_terminated(room.id, ended, position_id=position_id)],
        )
        return ended

    async def _note_end(
        self, room: Room, session_id: str, reason: str, actor: Actor, *, now_ms: int
    ) -> None:
        details = {"queue": room.id, "reason": reason}
        change = Change(action="session_terminated", target=session_id, details=details)
        try:
            await self._database.run(
                lambda connection: audit.add(connection, actor, change, now_ms=now_ms)
            )
        except UnavailableError as error:
            _log.error("session_end_not_noted", session_id=session_id, reason=str(error))

    async def _find(self, session_id: str) -> tuple[Room, Session]:
        # An id does not say of which room it is, and no list of all sessions is kept.
        rooms = list(self._registry.rooms.values())
        for start in range(0, len(rooms), _ROOMS_AT_ONCE):
            some = rooms[start : start + _ROOMS_AT_ONCE]
            calls = [scripts.find_session(room.id, session_id) for room in some]
            answers = await scripts.run_all_async(self._client, calls)
            for room, answer in zip(some, answers, strict=True):
                if isinstance(answer, Session):
                    return room, answer
        raise SessionNotFoundError(session_id)

    async def _details(self, position_ids: list[str]) -> dict[str, Mapping[str, Any]]:
        try:
            return await self._database.read(
                lambda connection: visitors.details(connection, position_ids)
            )
        except UnavailableError:
            return {}
