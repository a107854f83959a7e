"""Socket.IO: a namespace for each channel, with recovery of connections that were lost.

python-socketio's server does the talking; who may come in, what is told and what is caught up is
decided here. Recovery is what the official client understands: a `pid` in CONNECT, the offset as
each event's last argument, both given back at the next CONNECT. No state of a connection is kept
but the rooms it chose. Overrides private parts of python-socketio; tests/live/test_wire.py
holds them to the version in the lock.
"""

import functools
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import socketio
from engineio.exceptions import EngineIOError
from socketio import packet as sio

from api.auth.callers import NOBODY, Caller
from api.live.callers import require
from api.live.channel import Admission, Authenticate, Credentials, Reply
from api.live.engine import Connection, Engine
from api.live.handshake import Handshake
from api.live.hub import Hub
from api.live.limits import LiveLimits
from api.live.member import Entry, Kind, Member, request_of
from api.live.packets import Packet, SocketioForm, encode_json, single
from api.live.rights import ChangedCallerError
from api.live.rooms import ChosenRooms
from api.live.wire import CloseCode
from models.errors import StanchionError

_RESYNC: Final = "resync"


class SocketioMember(Member):
    """A client of one namespace."""

    __slots__ = ("_put_out", "connection", "pid")

    def __init__(
        self,
        kind: Kind,
        entry: Entry,
        connection: Connection,
        put_out: Callable[[str], Awaitable[None]],
    ) -> None:
        """`put_out` takes the client of a connection out of this member's namespace."""
        super().__init__(kind, entry, pending_max=connection.limits.replay_max)
        self.connection: Final = connection
        self.pid = secrets.token_urlsafe(16)
        self._put_out: Final = put_out

    def write(self, packet: Packet) -> None:
        """Send a packet; loses its place when too much waits already."""
        if not self.connection.put_events(packet):
            self.lose_place()

    @property
    def keeps_up(self) -> bool:
        """Say whether all that was sent is out of this process."""
        return self.connection.keeps_up

    def put(self, packet: Packet) -> None:
        """Send a packet, whatever waits already."""
        self.connection.put_last(packet)

    async def dismiss(self) -> None:
        """Put the client out of the namespace; the official client stays away."""
        await self._put_out(self.connection.sid)

    def resync(self) -> None:
        """Tell the client to start over; it comes back by itself."""
        text = self.kind.form.write(_RESYNC, b"{}", None)
        self.connection.put_last(single(text))
        self.connection.drop(CloseCode.TOO_SLOW, "reads too slowly")

    async def refuse(self, error: StanchionError) -> None:
        """Tell the client why it may no longer be here; it stays away unless it may come anew."""
        if isinstance(error, ChangedCallerError):
            self.connection.drop(CloseCode.RESTART, error.code)
            return
        data = encode_json({"code": error.code, "message": str(error)})
        self.connection.put_last(single(self.kind.form.write("error", data, None)))
        await self._put_out(self.connection.sid)


class SocketioServer(socketio.AsyncServer):
    """The server of all namespaces of this process."""

    def __init__(
        self,
        hubs: Mapping[str, Hub],
        *,
        authenticate: Authenticate,
        rooms: ChosenRooms,
        limits: LiveLimits,
    ) -> None:
        super().__init__(
            async_mode="asgi",
            namespaces=list(hubs),
            async_handlers=False,  # one message of a client after the other
            cors_allowed_origins=_allows,
            http_compression=False,
            max_http_buffer_size=limits.message_bytes_max,
            limits=limits,
        )
        self._hubs: Final = hubs
        self._authenticate: Final = authenticate
        self._chosen: Final = rooms
        self._limits: Final = limits
        self._members: Final[dict[tuple[str, str], SocketioMember]] = {}

    @property
    def connection_count(self) -> int:
        """Return how many clients are connected, in whatever namespaces."""
        return len(self.eio.sockets)

    def close_all(self) -> None:
        """Close every connection such that official clients come back by themselves.

        A DISCONNECT packet would tell them to stay away, so the transport is closed instead.
        """
        for connection in list(self.eio.sockets.values()):
            connection.drop(CloseCode.RESTART, "the server restarts")

    def _engineio_server_class(self) -> type[Engine]:
        return Engine

    # Messages of clients -------------------------------------------------------------------------

    async def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        await super()._handle_eio_connect(eio_sid, environ)
        self.eio.sockets[eio_sid].expect_namespace(self._limits.authentication_timeout_s)

    async def _handle_eio_message(self, eio_sid: str, data: str) -> None:
        try:
            packet = self.packet_class(encoded_packet=data)
        except (ValueError, TypeError, IndexError, RecursionError):
            raise EngineIOError("not Socket.IO") from None
        namespace = packet.namespace or "/"
        if packet.packet_type == sio.CONNECT:
            await self._handle_connect(eio_sid, namespace, packet.data)
        elif packet.packet_type == sio.DISCONNECT:
            await self._handle_disconnect(eio_sid, namespace, self.reason.CLIENT_DISCONNECT)
        elif packet.packet_type == sio.EVENT:
            await self._handle_event(eio_sid, namespace, packet.id, packet.data)
        elif packet.packet_type != sio.ACK:  # nobody was asked to acknowledge anything
            raise EngineIOError("unexpected packet")

    async def _handle_event(self, eio_sid: str, namespace: str, id: Any, data: Any) -> None:  # noqa: A002
        member = self._members.get((eio_sid, namespace))
        is_event = isinstance(data, list) and bool(data) and isinstance(data[0], str)
        if member is None or not is_event:
            raise EngineIOError("unexpected event")
        hub = self._hubs[namespace]
        handler = hub.channel.handlers.get(data[0])
        if handler is None:
            return  # of no interest; another version of a client may say more
        asked = request_of(member, data[1] if len(data) > 1 else None)
        try:
            reply = await handler(asked)
        except StanchionError as error:
            reply = Reply("error", {"code": error.code, "message": str(error)})
        if reply.rooms is not None:
            hub.move(member, reply.rooms)
            await self._chosen.remember(member.pid, member.caller, reply.rooms)
        if id is not None:
            self._send(member.connection, namespace, sio.ACK, [reply.data], id=id)

    # Coming and going ----------------------------------------------------------------------------

    async def _handle_connect(self, eio_sid: str, namespace: str, data: Any) -> None:
        """Let a client into a namespace, or tell it why not."""
        connection: Connection = self.eio.sockets[eio_sid]
        hub = self._hubs.get(namespace)
        sid = await self.manager.pre_connect(eio_sid, namespace) if hub else None
        if hub is None or sid is None:
            refusal = {"message": f"no namespace {namespace}" if hub is None else "connected twice"}
            self._send(connection, namespace, sio.CONNECT_ERROR, refusal)
            return
        said = data if isinstance(data, dict) else {}
        try:
            await self._admit(eio_sid, sid, hub, said)
        except StanchionError as error:
            reason = {"message": str(error), "data": {"code": error.code}}
            self._send(connection, namespace, sio.CONNECT_ERROR, reason)
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    async def _admit(self, eio_sid: str, sid: str, hub: Hub, said: Mapping[str, Any]) -> None:
        """Let a client in, caught up or with the initial state; raises what refuses it."""
        namespace = hub.channel.at.namespace or "/"
        connection: Connection = self.eio.sockets[eio_sid]
        handshake = Handshake(self.environ[eio_sid]["asgi.scope"])
        shown = handshake.credentials(said)
        caller, admission = await self._let_in(hub, shown, {**handshake.query, **said})
        rooms, is_where_it_was = await self._rejoin(hub, caller, admission, _text(said, "pid"))
        recovers = said.get("recovery") is not False
        kind = Kind(SocketioForm(namespace, recovers), admission.audience)
        put_out = functools.partial(self._put_out, namespace)
        entry = Entry(caller, shown, admission.holds)
        member = SocketioMember(kind, entry, connection, put_out)
        await hub.enter(member, rooms)
        try:
            offset = _text(said, "offset") if is_where_it_was else None
            missed = await hub.missed(member, offset)
            if missed is not None:
                member.pid = _text(said, "pid") or member.pid
            greeting = {"sid": sid} | ({"pid": member.pid} if recovers else {})
            self._send(connection, namespace, sio.CONNECT, greeting)
            await self.manager.connect(sid, namespace)
            connection.joined_namespace()
            await hub.start(member, admission, missed, offset)
        except BaseException:
            hub.leave(member)
            raise
        self._members[eio_sid, namespace] = member
        if connection.closed:
            await self._handle_disconnect(eio_sid, namespace)

    async def _let_in(
        self, hub: Hub, shown: Credentials, asked: Mapping[str, Any]
    ) -> tuple[Caller, Admission]:
        """Return who a client is to a channel and what it is let into; raises what refuses it."""
        admission = await hub.channel.admit_holder(shown, asked)
        if admission is not None:
            return NOBODY, admission
        caller = await self._authenticate(shown)
        require(caller, hub.channel.at.who)
        return caller, await hub.channel.admit(caller, asked)

    async def _rejoin(
        self, hub: Hub, caller: Caller, admission: Admission, pid: str | None
    ) -> tuple[frozenset[str], bool]:
        """Return the rooms to start in, and whether they are all that were chosen before."""
        chosen = await self._chosen.recall(pid, caller)
        if chosen is None:
            return admission.rooms, True
        rooms = await hub.channel.rejoin(caller, admission, chosen)
        return rooms, rooms == chosen

    async def _put_out(self, namespace: str, eio_sid: str) -> None:
        """End a client's stay in a namespace; the official client does not come back by itself."""
        connection: Connection | None = self.eio.sockets.get(eio_sid)
        if connection is not None:
            self._send(connection, namespace, sio.DISCONNECT)
            await self._handle_disconnect(eio_sid, namespace, self.reason.SERVER_DISCONNECT)

    async def _handle_disconnect(
        self, eio_sid: str, namespace: str, reason: str | None = None
    ) -> None:
        member = self._members.pop((eio_sid, namespace), None)
        if member is not None:
            self._hubs[namespace].leave(member)
            if not any((eio_sid, other) in self._members for other in self._hubs):
                member.connection.expect_namespace(self._limits.authentication_timeout_s)
        await super()._handle_disconnect(eio_sid, namespace, reason)

    def _send(
        self,
        connection: Connection,
        namespace: str,
        packet_type: int,
        data: Any = None,
        *,
        id: int | None = None,  # noqa: A002
    ) -> None:
        number = "" if id is None else str(id)
        head = f"4{packet_type}{namespace},{number}".encode()
        connection.put_last(single(head if data is None else head + encode_json(data)))


def _text(said: Mapping[str, Any], name: str) -> str | None:
    value = said.get(name)
    return value if isinstance(value, str) else None


def _allows(_origin: str | None, _environ: Mapping[str, Any]) -> bool:
    """Say that an origin is welcome: who is not was refused before python-socketio saw it."""
    return True
