"""Engine.IO as python-engineio speaks it, with connections that cost less and are bounded.

On a WebSocket a connection has no task beside the server's own: packets are written at once, in
frames made once for all, and pings are timers. Over polling, what waits has a bound. Overrides
private parts of python-engineio; tests/live/test_wire.py holds them to the version in the lock.
"""

import asyncio
from typing import Any, Final

import engineio
from engineio import packet as engine
from engineio.async_socket import AsyncSocket
from engineio.exceptions import EngineIOError

from api.live.limits import LiveLimits
from api.live.pace import Pace
from api.live.packets import Packet, frame
from api.live.wire import CloseCode, Wire, wire_of

# A polling client that was dropped is forgotten after this, whether it asks again or not.
_FORGET_S: Final = 30.0
_POLLED_PACKETS_MAX: Final = 16  # in one POST: the bound of the official server
_SEPARATOR: Final = "\x1e"
_PROBE: Final = "probe"
_KINDS: Final = "".join(str(kind) for kind in range(engine.NOOP + 1))


class Connection(AsyncSocket):
    """One client of Engine.IO."""

    def __init__(self, server: "Engine", sid: str) -> None:
        super().__init__(server, sid)
        self.connected: bool = False
        self.upgraded: bool = False
        self.limits: Final = server.limits
        self._pace: Final = Pace(self.limits.messages_per_s)
        self._wire: Wire | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._is_ending = False  # over polling: it waits to be told that it is closed

    # Sending -------------------------------------------------------------------------------------

    async def send(self, pkt: engine.Packet) -> None:
        """Send a packet of Engine.IO; for python-engineio's own use."""
        self.put(pkt)

    def put(self, pkt: engine.Packet) -> None:
        """Send a packet of Engine.IO at once, or with the next answer to a poll."""
        if self._wire is not None:
            self._wire.write(frame(pkt.encode().encode()))
        elif not self.closed:
            self.queue.put_nowait(pkt)

    def put_events(self, packet: Packet) -> bool:
        """Send events; say whether the client still keeps up."""
        if self._wire is not None:
            if self._wire.buffered_bytes > self.limits.buffer_bytes_max:
                return False
            self._wire.write(packet.frames)
        elif not self.closed:
            if self._is_ending or self.queue.qsize() >= self.limits.replay_max:
                return False
            self.queue.put_nowait(packet)
        return True

    def put_last(self, packet: Packet) -> None:
        """Send a packet whatever waits already: an answer, or a last word."""
        if self._wire is not None:
            self._wire.write(packet.frames)
        elif not self.closed:
            self.queue.put_nowait(packet)

    @property
    def keeps_up(self) -> bool:
        """Say whether all that was sent is out of this process."""
        return self.queue.empty() if self._wire is None else not self._wire.buffered_bytes

    def expect_namespace(self, timeout_s: float) -> None:
        """Close the connection if it is in no namespace by then."""
        if self.closing or self.closed:
            return
        self.joined_namespace()
        loop = asyncio.get_running_loop()
        self._deadline = loop.call_later(
            timeout_s, self.drop, CloseCode.TOO_LATE, "joined no namespace in time"
        )

    def joined_namespace(self) -> None:
        """Let the connection stay."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def drop(self, code: CloseCode, reason: str) -> None:
        """Close the connection, whatever it is doing; the official client comes back by itself."""
        self._stop_timers()
        if self._wire is not None:
            self._wire.close(code, reason)
        elif not self.closed and not self._is_ending:
            self._is_ending = True
            self.queue.put_nowait(engine.Packet(engine.CLOSE))
            self._timer = asyncio.get_running_loop().call_later(
                _FORGET_S, self.server.start_background_task, self._forget, reason
            )

    async def poll(self) -> list[Any]:
        """Return what waits; the connection is over once it was told so."""
        packets: list[Any] = await super().poll()
        if self._is_ending and packets and packets[-1].packet_type == engine.CLOSE:
            await self._forget("closed by the server")
        return packets

    async def close(
        self,
        wait: bool = True,  # noqa: ARG002, FBT001, FBT002  # python-engineio's own
        abort: bool = False,  # noqa: FBT001, FBT002
        reason: str | None = None,
    ) -> None:
        """End the connection; a poll that still waits is answered, or it would hold up a stop.

        Nobody waits for a polling client to fetch what is left, or remembers it: it may never ask
        again, and what it posted would be answered never.
        """
        await super().close(wait=False, abort=abort, reason=reason)
        if self._wire is None:
            self.queue.put_nowait(engine.Packet(engine.NOOP))
            self._stop_timers()
            self.server.sockets.pop(self.sid, None)

    async def _forget(self, reason: str) -> None:
        self._stop_timers()
        await self.close(wait=False, abort=True, reason=reason)
        self.server.sockets.pop(self.sid, None)

    def _stop_timers(self) -> None:
        for timer in (self._timer, self._deadline):
            if timer is not None:
                timer.cancel()

    # Pings ---------------------------------------------------------------------------------------

    def schedule_ping(self) -> None:
        """Ask for a sign of life later; the server pings, since protocol version 4."""
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self.server.ping_interval, self._ping)

    def _ping(self) -> None:
        self.put(engine.Packet(engine.PING))
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(
            self.server.ping_timeout, self.drop, CloseCode.RESTART, "no answer to a ping"
        )

    # Receiving -----------------------------------------------------------------------------------

    async def receive(self, pkt: engine.Packet) -> None:
        """Act on a packet; raises EngineIOError when the connection is to be closed."""
        if not self._pace.allows():
            self.drop(CloseCode.TOO_FAST, "too many messages")
            raise EngineIOError("too many messages")
        if pkt.packet_type == engine.PONG:
            self.schedule_ping()
        elif pkt.packet_type == engine.MESSAGE:
            await self.server.on_message(self.sid, pkt.data)
        elif pkt.packet_type == engine.CLOSE:
            await self.close(wait=False, abort=True, reason=self.server.reason.CLIENT_DISCONNECT)

    async def handle_post_request(self, environ: dict[str, Any]) -> None:
        """Take what a polling client sends."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        if length > self.limits.message_bytes_max:
            raise EngineIOError("body is too long")
        body = (await environ["wsgi.input"].read(length)).decode(errors="replace")
        texts = body.split(_SEPARATOR)
        if len(texts) > _POLLED_PACKETS_MAX:
            raise EngineIOError("too many packets")
        for text in texts:
            if not self.closed:
                await self.receive(read_packet(text))

    async def _upgrade_websocket(self, environ: dict[str, Any]) -> str:
        """Serve a WebSocket until it closes; at first for a client that polled, its probe."""
        if self.upgraded:
            raise EngineIOError("upgraded already")
        await environ["asgi.send"]({"type": "websocket.accept"})
        wire, told = wire_of(environ["asgi.scope"]), environ["asgi.receive"]
        if not self.connected or await self._probed(wire, told):
            self.connected = self.upgraded = True
            await self._serve(wire, told)
        return ""

    async def _probed(self, wire: Wire, told: Any) -> bool:
        """Move a polling client to its WebSocket; say whether it came along."""
        self.upgrading = True
        try:
            if await _text(told) != f"{engine.PING}{_PROBE}":
                return False
            wire.write(frame(f"{engine.PONG}{_PROBE}".encode()))
            self.queue.put_nowait(engine.Packet(engine.NOOP))  # answers the poll that waits
            return await _text(told) == str(engine.UPGRADE)
        except OSError:
            return False
        finally:
            self.upgrading = False

    async def _serve(self, wire: Wire, told: Any) -> None:
        while not self.queue.empty():
            waiting = self.queue.get_nowait()
            is_made = isinstance(waiting, Packet)
            wire.write(waiting.frames if is_made else frame(waiting.encode().encode()))
        self._wire = wire
        if self._is_ending:
            wire.close(CloseCode.RESTART, "closed by the server")
        reason = self.server.reason.TRANSPORT_CLOSE
        try:
            while not self.closed:
                text = await _text(told)
                if len(text) > self.limits.message_bytes_max:
                    wire.close(CloseCode.TOO_BIG, "message is too big")
                    break
                await self.receive(read_packet(text))
        except (OSError, EngineIOError):
            wire.close(CloseCode.MALFORMED, "not Engine.IO")  # unless it is closed already
        finally:
            self._stop_timers()
            wire.close(CloseCode.FINISHED, "")  # unless it is closed already
            await self.close(wait=False, abort=True, reason=reason)


class Engine(engineio.AsyncServer):
    """python-engineio's server with connections of ours; has no task that watches them."""

    def __init__(self, *, limits: LiveLimits, **options: Any) -> None:
        super().__init__(monitor_clients=False, **options)
        self.limits: Final = limits

    async def on_message(self, sid: str, data: str) -> None:
        """Hand a message to Socket.IO; raises EngineIOError if it makes no sense."""
        await self.handlers["message"](sid, data)

    async def _handle_connect(
        self,
        environ: dict[str, Any],
        transport: str,
        jsonp_index: int | None = None,  # noqa: ARG002  # JSONP is not served
    ) -> Any:
        """Open a connection, and serve it if it is a WebSocket."""
        sid = self.generate_id()
        connection = Connection(self, sid)
        self.sockets[sid] = connection
        connection.put(engine.Packet(engine.OPEN, self._greeting(sid, transport)))
        await self._trigger_event("connect", sid, environ, run_async=False)
        connection.schedule_ping()
        if transport == "websocket":
            answer = await connection.handle_get_request(environ)
            self.sockets.pop(sid, None)
            return answer
        connection.connected = True
        return self._ok(await connection.poll())

    def _log_error_once(self, message: str, message_key: str) -> None:
        """Say nothing: what a client did wrong is answered, and no operator's business."""

    def _greeting(self, sid: str, transport: str) -> dict[str, Any]:
        return {
            "sid": sid,
            "upgrades": self._upgrades(sid, transport),
            "pingTimeout": int(self.ping_timeout * 1000),
            "pingInterval": int(self.ping_interval * 1000),
            "maxPayload": self.limits.message_bytes_max,
        }


def read_packet(text: str) -> engine.Packet:
    """Return a packet without looking into its JSON; raises EngineIOError if it is none."""
    kind = text[:1]
    if not kind or kind not in _KINDS:
        raise EngineIOError("not a packet")
    return engine.Packet(int(kind), data=text[1:])


async def _text(told: Any) -> str:
    """Return the next text from a WebSocket; raises OSError at its end or for bytes."""
    message = await told()
    text = message.get("text")
    if text is None:
        raise OSError("closed, or not text")
    return str(text)
