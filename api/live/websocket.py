"""Raw WebSockets: JSON frames `{"type", "data", "offset"}`, for whoever has no Socket.IO."""

from collections.abc import Mapping
from typing import Any, Final

from api.live.channel import Admission, Authenticate, Reply
from api.live.conversation import (
    FORM,
    Closed,
    Conversation,
    Door,
    Doorkeeper,
    Talker,
    TokenDoor,
    close_code_of,
    tell_refusal,
)
from api.live.handshake import Handshake
from api.live.hub import Hub
from api.live.limits import LiveLimits
from api.live.member import Entry, Kind, Member, request_of
from api.live.pace import Pace
from api.live.packets import Packet, frame
from api.live.wire import CloseCode, Wire, wire_of
from models.errors import StanchionError


class WebSocketMember(Member):
    """A client on a raw WebSocket."""

    __slots__ = ("_buffer_bytes_max", "wire")

    def __init__(self, kind: Kind, entry: Entry, wire: Wire, limits: LiveLimits) -> None:
        super().__init__(kind, entry, pending_max=limits.replay_max)
        self.wire: Final = wire
        self._buffer_bytes_max: Final = limits.buffer_bytes_max

    def write(self, packet: Packet) -> None:
        """Send a packet; loses its place when too much waits already."""
        if self.wire.buffered_bytes > self._buffer_bytes_max:
            self.lose_place()
        else:
            self.wire.write(packet.frames)

    @property
    def keeps_up(self) -> bool:
        """Say whether all that was sent is out of this process."""
        return not self.wire.buffered_bytes

    def put(self, packet: Packet) -> None:
        """Send a packet at once, whatever waits already."""
        self.wire.write(packet.frames)

    async def dismiss(self) -> None:
        """Close, since there is nothing more to tell."""
        self.wire.close(CloseCode.FINISHED, "")

    def resync(self) -> None:
        """Tell the client to start over, and close."""
        self.wire.write(frame(FORM.write("resync", b"{}", None)))
        self.wire.close(CloseCode.TOO_SLOW, "reads too slowly")

    async def refuse(self, error: StanchionError) -> None:
        """Tell the client why it may no longer be here, and close."""
        tell_refusal(self.wire, error)
        self.wire.close(close_code_of(error), error.code)


class WebSocketServer:
    """Opens and closes raw WebSockets; what is spoken is each talker's."""

    def __init__(self, *, authenticate: Authenticate, limits: LiveLimits) -> None:
        self._limits: Final = limits
        self._door: Final[Door] = Doorkeeper(authenticate, limits)
        self._visitors_door: Final[Door] = TokenDoor(limits)
        self._wires: Final[set[Wire]] = set()

    @property
    def connection_count(self) -> int:
        """Return how many are open."""
        return len(self._wires)

    def close_all(self) -> None:
        """Close every connection, since the server stops."""
        for wire in list(self._wires):
            wire.close(CloseCode.RESTART, "the server restarts")

    async def serve(
        self, talker: Talker, parameters: Mapping[str, str], scope: Any, receive: Any, send: Any
    ) -> None:
        """Talk with one client until it or the server closes."""
        await send({"type": "websocket.accept"})
        wire = wire_of(scope)
        self._wires.add(wire)
        conversation = Conversation(wire, receive, self._limits)
        try:
            door = self._visitors_door if talker.at.who.visitors else self._door
            entry, asked = await door.admit(
                conversation, Handshake(scope), talker.at.who, parameters
            )
            await talker.talk(conversation, entry, asked)
        except Closed as end:
            if end.code is not None:
                wire.close(end.code, end.reason)
        finally:
            self._wires.discard(wire)


class ChannelTalker:
    """Tells the clients of one channel what happens, and answers what they say."""

    def __init__(self, hub: Hub, limits: LiveLimits) -> None:
        self.at: Final = hub.channel.at
        self._hub: Final = hub
        self._limits: Final = limits

    async def talk(
        self, conversation: Conversation, entry: Entry, asked: Mapping[str, Any]
    ) -> None:
        """Talk with one client until it hangs up; raises Closed to close."""
        try:
            admission = await self._hub.channel.admit(entry.caller, asked)
        except StanchionError as error:
            raise conversation.refused(error) from None
        kind = Kind(FORM, admission.audience)
        member = WebSocketMember(kind, entry, conversation.wire, self._limits)
        pace = Pace(self._limits.messages_per_s)
        await self._hub.enter(member, admission.rooms)
        try:
            await self._begin(conversation, member, admission, asked.get("offset"))
            while True:
                await self._answer(conversation, member, pace)
        finally:
            self._hub.leave(member)

    async def _begin(
        self,
        conversation: Conversation,
        member: WebSocketMember,
        admission: Admission,
        offset: Any,
    ) -> None:
        offset = offset if isinstance(offset, str) else None
        missed = await self._hub.missed(member, offset)
        conversation.tell("connected", {"recovered": missed is not None})
        try:
            await self._hub.start(member, admission, missed, offset)
        except StanchionError as error:  # a store is away: the client comes back later
            conversation.tell("error", {"code": error.code, "message": str(error)})
            raise Closed(CloseCode.TOO_SLOW, "try again later") from None

    async def _answer(
        self, conversation: Conversation, member: WebSocketMember, pace: Pace
    ) -> None:
        said = await conversation.next()
        if not pace.allows():
            raise Closed(CloseCode.TOO_FAST, "too many messages")
        if said.type == "ping":
            conversation.tell("pong", said.data if isinstance(said.data, dict) else {})
            return
        handler = self._hub.channel.handlers.get(said.type)
        if handler is None:
            conversation.tell("error", {"code": "unknown_type", "message": said.type[:64]})
            return
        asked = request_of(member, said.data)
        try:
            reply = await handler(asked)
        except StanchionError as error:
            reply = Reply("error", {"code": error.code, "message": str(error)})
        if reply.rooms is not None:
            self._hub.move(member, reply.rooms)
        conversation.tell(reply.name, reply.data)
