"""The server's side of a WebSocket, with a way to write frames that were made beforehand.

The usual way costs a task's turn and a frame of its own for each client; here many clients get the
same bytes. Relies on uvicorn's private parts: `websockets-sansio` of the version in the lock, held
by tests/live/test_wire.py.
"""

import enum
from collections.abc import Mapping
from typing import Any, Final, cast

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

_EXTENSION: Final = "stanchion.wire"
# A peer that does not even read its close frame is cut off after this.
_ABORT_AFTER_S: Final = 5.0
_ABORT_AT_STOP_S: Final = 0.5


class CloseCode(enum.IntEnum):
    """Why the server closes a WebSocket; docs/events.md lists them for clients."""

    FINISHED = 1000
    NOT_TEXT = 1003
    TOO_FAST = 1008
    TOO_BIG = 1009
    FAILED = 1011
    RESTART = 1012
    TOO_SLOW = 1013
    MALFORMED = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN = 4403
    NOT_FOUND = 4404
    TOO_LATE = 4408


class Wire(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket that can be written to and closed at once, without waiting."""

    def handle_connect(self, event: Request) -> None:
        """Open the connection, and make it known to the application."""
        super().handle_connect(event)
        if not self.handshake_complete:  # it was not refused
            cast("dict[str, Any]", self.scope["extensions"])[_EXTENSION] = self

    async def send(self, message: ASGISendEvent) -> None:
        """Do what the application says; uvicorn takes a refusal with a status for a mistake."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and self.close_sent:
            self.handshake_complete = True

    def shutdown(self) -> None:
        """Close, since the server stops; a peer that does not read shall not hold that up."""
        super().shutdown()
        self.loop.call_later(_ABORT_AT_STOP_S, self.transport.abort)

    @property
    def buffered_bytes(self) -> int:
        """Return how much the peer has not taken yet."""
        return self.transport.get_write_buffer_size()

    @property
    def is_over(self) -> bool:
        """Say whether nothing that is written now would arrive."""
        return self.close_sent or self.transport.is_closing()

    def write(self, frames: bytes) -> None:
        """Send frames as they are; does nothing on a connection that is closing."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(frames)

    def close(self, code: CloseCode, reason: str) -> None:
        """Say goodbye and stop listening; a peer that does not answer is cut off soon."""
        if self.close_sent or self.transport.is_closing():
            return
        self.stop_keepalive()
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(_ABORT_AFTER_S, self.transport.abort)
        self.queue.put_nowait({"type": "websocket.disconnect", "code": int(code), "reason": reason})


def wire_of(scope: Mapping[str, Any]) -> Wire:
    """Return the connection of a WebSocket's scope; the server must run `Wire`."""
    wire: Wire = scope["extensions"][_EXTENSION]
    return wire
