"""Visitors on a raw WebSocket, in the frames of the contract; docs/rooms-live.md tells clients."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from api.auth.table import ROOMS_VISITORS, ROOMS_VISITORS_V1, SocketRow
from api.live.channel import Channel
from api.live.conversation import FORM, Closed, Conversation
from api.live.limits import LiveLimits
from api.live.member import Entry, Kind
from api.live.pace import Pace
from api.live.tail import StreamTail
from api.live.websocket import WebSocketMember
from api.live.wire import CloseCode
from api.rooms.audience import Listener
from api.rooms.console import VISITOR, Namespace, Overview
from api.rooms.telling import Teller
from models.errors import StanchionError
from models.rooms.refusals import MissingTokenError

_FRAMES: Final = Kind(FORM, VISITOR)


class VisitorSocket:
    """Talks with the visitors of all rooms at one of the contract's addresses."""

    def __init__(self, at: SocketRow, teller: Teller, limits: LiveLimits) -> None:
        self.at: Final = at
        self._teller: Final = teller
        self._limits: Final = limits

    async def talk(
        self, conversation: Conversation, entry: Entry, asked: Mapping[str, Any]
    ) -> None:
        """Talk with one visitor until it hangs up; raises Closed to close."""
        try:
            if entry.shown.token is None:
                raise MissingTokenError
            listener = await self._teller.welcome(asked["queue_id"], entry.shown.token)
        except StanchionError as error:
            raise conversation.refused(error) from None
        entry = Entry(entry.caller, entry.shown, listener)
        member = WebSocketMember(_FRAMES, entry, conversation.wire, self._limits)
        pace = Pace(self._limits.messages_per_s)
        self._teller.enter(listener, member)
        try:
            while True:
                await self._answer(conversation, listener, pace)
        finally:
            self._teller.leave(listener)

    async def _answer(self, conversation: Conversation, listener: Listener, pace: Pace) -> None:
        said = await conversation.next()
        if not pace.allows():
            raise Closed(CloseCode.TOO_FAST, "too many messages")
        if said.type == "heartbeat":
            try:
                await self._teller.beat(listener)
            except StanchionError as error:  # it is for the visitor to beat again
                conversation.tell("error", {"code": error.code, "message": str(error)})
        elif said.type == "ping":
            conversation.tell("pong", said.data if isinstance(said.data, dict) else {})
        else:
            conversation.tell("error", {"code": "unknown_type", "message": said.type[:64]})


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomsLive:
    """The live side of rooms in one process."""

    teller: Teller
    overview: Overview
    tail: StreamTail

    def channel(self) -> Channel:
        """Return what is served on Socket.IO."""
        return Namespace(self.teller, self.overview).channel()

    def sockets(self, limits: LiveLimits) -> list[VisitorSocket]:
        """Return what is spoken at the contract's addresses."""
        rows = (ROOMS_VISITORS, ROOMS_VISITORS_V1)
        return [VisitorSocket(row, self.teller, limits) for row in rows]
