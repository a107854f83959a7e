"""Raw WebSockets: JSON frames `{"type", "data", "offset"}`, for whoever has no Socket.IO.

A client shows who it is in its headers, in its address, or in a first message of type `auth`. What
refuses it is told in a frame `error` and by the code of the close: browsers see no status.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from api.live.callers import require
from api.live.channel import Admission, Authenticate, Reply, Request
from api.live.handshake import Handshake
from api.live.hub import Hub
from api.live.limits import LiveLimits
from api.live.member import Entry, Kind, Member
from api.live.pace import Pace
from api.live.packets import FrameForm, Packet, encode_json, frame
from api.live.rights import ChangedCallerError
from api.live.wire import CloseCode, Wire, wire_of
from models.errors import ForbiddenError, StanchionError, UnauthenticatedError

_FORM: Final = FrameForm()


class Said(msgspec.Struct, frozen=True):
    """One message of a client."""

    type: str
    data: Any = None


_decode: Final = msgspec.json.Decoder(Said).decode


class _Closed(Exception):  # noqa: N818  # no error: it ends a conversation
    """The conversation is over, for a reason that the peer is told if it still listens."""

    def __init__(self, code: CloseCode | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


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

    def resync(self) -> None:
        """Tell the client to start over, and close."""
        self.wire.write(frame(_FORM.write("resync", b"{}", None)))
        self.wire.close(CloseCode.TOO_SLOW, "reads too slowly")

    async def refuse(self, error: StanchionError) -> None:
        """Tell the client why it may no longer be here, and close."""
        _tell_refusal(self.wire, error)
        self.wire.close(_code_of(error), error.code)


class WebSocketServer:
    """Talks with the clients of raw WebSockets."""

    def __init__(self, *, authenticate: Authenticate, limits: LiveLimits) -> None:
        self._authenticate: Final = authenticate
        self._limits: Final = limits
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
        self, hub: Hub, parameters: Mapping[str, str], scope: Any, receive: Any, send: Any
    ) -> None:
        """Talk with one client until it or the server closes."""
        await send({"type": "websocket.accept"})
        wire = wire_of(scope)
        self._wires.add(wire)
        conversation = _Conversation(wire, receive, self._limits)
        try:
            await self._talk(conversation, hub, Handshake(scope), parameters)
        except _Closed as end:
            if end.code is not None:
                wire.close(end.code, end.reason)
        finally:
            self._wires.discard(wire)

    async def _talk(
        self,
        conversation: "_Conversation",
        hub: Hub,
        handshake: Handshake,
        parameters: Mapping[str, str],
    ) -> None:
        entry, asked = await self._identify(conversation, hub, handshake, parameters)
        try:
            admission = await hub.channel.admit(entry.caller, asked)
        except StanchionError as error:
            raise conversation.refused(error) from None
        kind = Kind(_FORM, admission.audience)
        member = WebSocketMember(kind, entry, conversation.wire, self._limits)
        await hub.enter(member, admission.rooms)
        try:
            await self._begin(conversation, hub, member, admission, asked.get("offset"))
            while True:
                await self._answer(conversation, hub, member)
        finally:
            hub.leave(member)

    async def _identify(
        self,
        conversation: "_Conversation",
        hub: Hub,
        handshake: Handshake,
        parameters: Mapping[str, str],
    ) -> tuple[Entry, Mapping[str, Any]]:
        """Return who is there and what is asked, by the address or by a first message."""
        shown = handshake.credentials({})
        asked = {**handshake.query, **parameters}
        try:
            caller = await self._authenticate(shown)
            require(caller, hub.channel.at.who)
        except UnauthenticatedError as error:
            if not shown.are_empty:
                raise conversation.refused(error) from None
        except StanchionError as error:
            raise conversation.refused(error) from None
        else:
            return Entry(caller, shown), asked
        said = await self._first_message(conversation)
        shown = handshake.credentials(said)
        try:
            caller = await self._authenticate(shown)
            require(caller, hub.channel.at.who)
        except StanchionError as error:
            raise conversation.refused(error) from None
        return Entry(caller, shown), {**handshake.query, **said, **parameters}

    async def _first_message(self, conversation: "_Conversation") -> Mapping[str, Any]:
        """Return the data of `auth`; of anything else nothing, which shows no credentials."""
        try:
            async with asyncio.timeout(self._limits.authentication_timeout_s):
                first = await conversation.next()
        except TimeoutError:
            raise _Closed(CloseCode.TOO_LATE, "no auth in time") from None
        is_auth = first.type == "auth" and isinstance(first.data, dict)
        return first.data if is_auth else {}

    async def _begin(
        self,
        conversation: "_Conversation",
        hub: Hub,
        member: WebSocketMember,
        admission: Admission,
        offset: Any,
    ) -> None:
        offset = offset if isinstance(offset, str) else None
        missed = await hub.missed(member, offset)
        conversation.tell("connected", {"recovered": missed is not None})
        try:
            await hub.start(member, admission, missed, offset)
        except StanchionError as error:  # a store is away: the client comes back later
            conversation.tell("error", {"code": error.code, "message": str(error)})
            raise _Closed(CloseCode.TOO_SLOW, "try again later") from None

    async def _answer(
        self, conversation: "_Conversation", hub: Hub, member: WebSocketMember
    ) -> None:
        said = await conversation.next()
        if said.type == "ping":
            conversation.tell("pong", said.data if isinstance(said.data, dict) else {})
            return
        handler = hub.channel.handlers.get(said.type)
        if handler is None:
            conversation.tell("error", {"code": "unknown_type", "message": said.type[:64]})
            return
        asked = Request(member.caller, member.kind.audience, member.rooms, said.data)
        try:
            reply = await handler(asked)
        except StanchionError as error:
            reply = Reply("error", {"code": error.code, "message": str(error)})
        if reply.rooms is not None:
            hub.move(member, reply.rooms)
        conversation.tell(reply.name, reply.data)


class _Conversation:
    """What one client says, checked and counted, and what it is answered."""

    def __init__(self, wire: Wire, receive: Any, limits: LiveLimits) -> None:
        self.wire: Final = wire
        self._receive: Final = receive
        self._limits: Final = limits
        self._pace: Final = Pace(limits.messages_per_s)

    async def next(self) -> Said:
        """Return the next message; raises _Closed at the end, and for one that breaks a rule."""
        told = await self._receive()
        if told["type"] != "websocket.receive":
            if told["type"] == "websocket.connect":
                return await self.next()
            raise _Closed
        text = told.get("text")
        if text is None:
            raise _Closed(CloseCode.NOT_TEXT, "expected text")
        if len(text) > self._limits.message_bytes_max:
            raise _Closed(CloseCode.TOO_BIG, "message is too big")
        if not self._pace.allows():
            raise _Closed(CloseCode.TOO_FAST, "too many messages")
        try:
            return _decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise _Closed(CloseCode.MALFORMED, 'expected {"type": …, "data": …}') from None

    def tell(self, name: str, data: Mapping[str, object]) -> None:
        """Send the client a frame of its own."""
        self.wire.write(frame(_FORM.write(name, encode_json(data), None)))

    def refused(self, error: StanchionError) -> _Closed:
        """Tell why a client is not let in, and return how to close."""
        _tell_refusal(self.wire, error)
        return _Closed(_code_of(error), error.code)


def _tell_refusal(wire: Wire, error: StanchionError) -> None:
    data = encode_json({"code": error.code, "message": str(error)})
    wire.write(frame(_FORM.write("error", data, None)))


def _code_of(error: StanchionError) -> CloseCode:
    if isinstance(error, ChangedCallerError):
        return CloseCode.RESTART
    if isinstance(error, UnauthenticatedError):
        return CloseCode.UNAUTHENTICATED
    if isinstance(error, ForbiddenError):
        return CloseCode.FORBIDDEN
    return CloseCode.MALFORMED
