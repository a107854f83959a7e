"""Everybody on Socket.IO `/rooms`: visitors hear of their own place, staff of what happens.

docs/rooms-live.md is what clients are told.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.auth.callers import Caller
from api.auth.table import ROOMS_SOCKET
from api.live.channel import Admission, Channel, Credentials, Present, Reply, Request
from api.rooms.audience import Listener
from api.rooms.telling import Teller
from models.errors import ForbiddenError, InvalidError, UnavailableError
from models.events import Event
from models.rooms import facts
from models.rooms.registry import Registry
from models.rooms.replica import Replica
from models.rooms.rules import LineState

VISITOR: Final = "visitor"
_STAFF: Final = "staff"
_EVERY_ROOM: Final = "every room"
_ROOMS_MAX: Final = 100
_ROOM_ID_LENGTH_MAX: Final = 64
_OVERVIEW_EVERY_S: Final = 2.0


class NotForThisClientError(ForbiddenError):
    """Visitors beat for their place, staff choose rooms, and neither does what the others do."""

    code = "not_for_this_client"

    def __init__(self, event: str) -> None:
        super().__init__(event)
        self.event = event

    def __str__(self) -> str:
        return f"{self.event} is not for this client"


class Overview:
    """How all rooms stand, for staff."""

    def __init__(self, registry: Registry, replica: Replica) -> None:
        self._registry: Final = registry
        self._replica: Final = replica

    async def event(self) -> Event:
        """Return `queues`; how many wait and are inside is null while nobody knows."""
        rooms = sorted(self._registry.rooms.values(), key=lambda room: room.id)
        lines = await asyncio.gather(*(self._line(room.id) for room in rooms))
        return Event(
            "queues",
            {
                "queues": [
                    {
                        "queue_id": room.id,
                        "name": room.name,
                        "status": room.status.value,
                        "current_waiting": None if line is None else line.length,
                        "current_active": None if line is None else line.inside,
                    }
                    for room, line in zip(rooms, lines, strict=True)
                ]
            },
        )

    async def _line(self, room_id: str) -> LineState | None:
        if self._replica.is_away:
            return None
        try:
            return (await self._replica.find(room_id)).line
        except UnavailableError:  # also of a room that Redis does not know yet
            return None


class Namespace:
    """The namespace of rooms: who is let in, and what each asks and is told."""

    def __init__(self, teller: Teller, overview: Overview) -> None:
        self._teller: Final = teller
        self._overview: Final = overview
        self._staff: Final[set[Present]] = set()

    def channel(self) -> Channel:
        """Return what is served."""
        return Channel(
            domain=facts.DOMAIN,
            at=ROOMS_SOCKET,
            admit=_admit,
            admit_holder=self._admit_visitor,
            rejoin=_rejoin,
            initial=self._initial,
            rooms_of=_rooms_of,
            view=_view,
            state=self._state,
            state_every_s=_OVERVIEW_EVERY_S,
            handlers={
                "heartbeat": self._heartbeat,
                "subscribe": _subscribe,
                "unsubscribe": _unsubscribe,
            },
            entered=self._entered,
            left=self._left,
        )

    async def _admit_visitor(
        self, shown: Credentials, asked: Mapping[str, Any]
    ) -> Admission | None:
        room_id = asked.get("queue_id")
        if not isinstance(room_id, str) or shown.token is None:
            return None
        listener = await self._teller.welcome(room_id, shown.token)
        return Admission(audience=VISITOR, holds=listener)

    async def _initial(self, admission: Admission) -> Sequence[Event]:
        return () if admission.audience == VISITOR else [await self._overview.event()]

    async def _state(self, _room: str) -> Event | None:
        return await self._overview.event() if self._staff else None

    async def _heartbeat(self, asked: Request) -> Reply:
        if not isinstance(asked.holds, Listener):
            raise NotForThisClientError("heartbeat")
        await self._teller.beat(asked.holds)
        return Reply("heartbeat", {"position": max(asked.holds.position, 0)})

    def _entered(self, present: Present) -> None:
        if isinstance(present.holds, Listener):
            self._teller.enter(present.holds, present)
        else:
            self._staff.add(present)

    def _left(self, present: Present) -> None:
        self._staff.discard(present)
        if isinstance(present.holds, Listener):
            self._teller.leave(present.holds)


async def _admit(_caller: Caller, asked: Mapping[str, Any]) -> Admission:
    return Admission(rooms=_rooms(asked.get("queues")), audience=_STAFF)


async def _rejoin(_caller: Caller, admission: Admission, chosen: frozenset[str]) -> frozenset[str]:
    return admission.rooms if admission.audience == VISITOR else chosen


async def _subscribe(asked: Request) -> Reply:
    """Follow these rooms instead of what was followed before."""
    if asked.holds is not None:
        raise NotForThisClientError("subscribe")
    queues = asked.data.get("queues") if isinstance(asked.data, dict) else None
    return Reply("subscribed", {"queues": _named(queues)}, rooms=_rooms(queues))


async def _unsubscribe(asked: Request) -> Reply:
    """Follow all rooms again."""
    if asked.holds is not None:
        raise NotForThisClientError("unsubscribe")
    return Reply("unsubscribed", {"queues": []}, rooms=_rooms(None))


def _view(event: Event, audience: str) -> Event | None:
    """Return what staff hear; a visitor is told of its own place, and nothing else."""
    return event if audience == _STAFF else None


def _rooms_of(event: Event) -> Sequence[str]:
    return (_EVERY_ROOM, f"room:{event.data.get('queue_id')}")


def _rooms(queues: Any) -> frozenset[str]:
    named = _named(queues)
    return frozenset(f"room:{each}" for each in named) if named else frozenset({_EVERY_ROOM})


def _named(queues: Any) -> list[str]:
    """Return the rooms that a client names, in a list or with commas; raises InvalidError."""
    if queues is None:
        return []
    named = queues.split(",") if isinstance(queues, str) else queues
    if (
        not isinstance(named, list)
        or len(named) > _ROOMS_MAX
        or not all(isinstance(each, str) and 0 < len(each) <= _ROOM_ID_LENGTH_MAX for each in named)
    ):
        raise InvalidError({"queues": f"Expected up to {_ROOMS_MAX} ids of rooms"})
    return sorted(set(named))
