"""HTTP on one connection: how a request may arrive, an answer leave, and a connection end."""

import asyncio
import json
import uuid
from typing import Any, ClassVar, Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from api.http.cork import Cork
from api.http.errors import RefusalPace, form_of, status_of
from models.errors import InvalidError, StanchionError, UnavailableError

# A request has this long to arrive, and a second more for each so many bytes of it that came.
_REQUEST_TIMEOUT_S: Final = 20.0
_REQUEST_BYTES_PER_S_MIN: Final = 4_096
_HEAD_BYTES_MAX: Final = 65_536
# How long a connection stays open for a request that is on its way when the server stops, and for
# its peer to take what it was sent.
_LINGER_S: Final = 0.3
_TAKING_S: Final = 0.5
# What still arrives of a request that was answered, such as a body that is too long, is thrown away
# so that its client gets to read the answer; neither for long nor much of it.
_IGNORED_S: Final = 5.0
_IGNORED_BYTES_MAX: Final = 8_388_608
# A timer may be late and its time over at once: until the next the loop reads what is here.
_ONE_TURN_S: Final = 0.001


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's HTTP, with the bounds on a request's arrival that it lacks.

    A request that does not arrive in time, or whose head grows without end, costs its connection.
    """

    # Of all connections of this process:
    _refusals: ClassVar = RefusalPace()
    # Those to look at: most connections wait for an answer or rest, and cost nothing.
    _arriving: ClassVar[set["PatientProtocol"]] = set()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arriving_since: float | None = None
        self.arrived_bytes = 0
        self._in_head = True
        self._is_leaving = False
        self._ignored_from_bytes: int | None = None  # of a request that was answered early

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock: a connection is made to send a request."""
        self._cork = Cork(transport, self.loop)
        super().connection_made(self._cork)  # type: ignore[arg-type]  # it is like one
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came; refuse a head that grows past its bound."""
        self.arrived_bytes += len(data)
        answered_at = self._ignored_from_bytes
        if answered_at is not None and self.arrived_bytes - answered_at > _IGNORED_BYTES_MAX:
            self.transport.close()
            return
        super().data_received(data)
        if self._in_head and self.arrived_bytes > _HEAD_BYTES_MAX:
            self.transport.write(
                STATUS_LINE[431] + b"content-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()

    def on_message_begin(self) -> None:
        """Start the clock of a further request on this connection."""
        super().on_message_begin()
        self._start_clock()
        self._in_head = True

    def on_headers_complete(self) -> None:
        """Stop counting the head; refuse the request where there are too many connections."""
        self._in_head = False
        limit = self.limit_concurrency
        if limit is not None and max(len(self.connections), len(self.tasks)) >= limit:
            # uvicorn's own refusal is plain text. This one ends the connection all the same.
            self.app, self.limit_concurrency = _refuse, None
            if count := self._refusals.count(now_s=self.loop.time()):
                self.logger.warning(
                    "%d requests refused: STANCHION_CONNECTIONS_MAX is %d", count, limit
                )
        super().on_headers_complete()
        if self._is_leaving:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """Stop the clock: the request is here whole."""
        self._stop_clock()
        self.arrived_bytes = 0
        self._ignored_from_bytes = None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Send the answer, in one piece if it is short."""
        self._cork.flush()
        is_latest = not self.pipeline
        super().on_response_complete()
        if is_latest and self._arriving_since is not None and self._ignored_from_bytes is None:
            self._ignored_from_bytes = self.arrived_bytes
            self.loop.call_later(_IGNORED_S, self._hang_up, self._arriving_since)

    def _hang_up(self, arriving_since: float) -> None:
        """Close the connection if the request that was answered is arriving still."""
        if self._arriving_since == arriving_since:
            self.transport.close()

    def handle_websocket_upgrade(self) -> None:
        """Leave the connection to the WebSocket, which makes its frames whole."""
        self._stop_clock()
        self._cork.flush()
        self.transport = self._cork.bare
        super().handle_websocket_upgrade()

    @classmethod
    def close_stalled(cls, now: float) -> None:
        """Close every connection whose request arrives too slowly."""
        for connection in tuple(cls._arriving):
            connection.close_if_stalled(now)

    def close_if_stalled(self, now: float) -> None:
        """Close the connection if its request arrives too slowly; an idle one is not arriving."""
        if self._arriving_since is None:
            return
        if self.flow.read_paused:
            self._arriving_since = (
                now  # the application reads slowly, which is not the peer's fault
            )
            return
        allowed_s = _REQUEST_TIMEOUT_S + self.arrived_bytes / _REQUEST_BYTES_PER_S_MIN
        if now - self._arriving_since > allowed_s:
            self.transport.close()

    def _start_clock(self) -> None:
        self._arriving_since = self.loop.time()
        self._arriving.add(self)

    def _stop_clock(self) -> None:
        self._arriving_since = None
        self._arriving.discard(self)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP in the form of its path, as far as one was read."""
        path = bytes(getattr(self, "url", b"") or b"/").decode("latin-1").partition("?")[0]
        error = InvalidError({"request": msg.removesuffix(".")})
        status, headers, body = _refusal(path, error)
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()

    def shutdown(self) -> None:
        """Serve the request that is here or on its way, as the last one, and close.

        A proxy keeps connections and may have sent a request on this one a moment ago; closing
        at once would lose it, and nobody may send a POST again. A repeat changes nothing.
        """
        if self._is_leaving:
            return
        self._is_leaving = True
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.keep_alive = False
        self.loop.call_later(_LINGER_S, self.loop.call_later, _ONE_TURN_S, self._leave)

    def _leave(self) -> None:
        if self.flow.write_paused:  # its peer does not read, and would keep us from stopping
            self.transport.abort()
            return
        if self.cycle is not None and not self.cycle.response_complete:
            if self._arriving_since is None:
                return  # the request is here whole, and closes its connection when it is answered
            self._refuse_rest()
        self.transport.close()
        # It waits until the peer has taken what was sent, which a deaf one never does.
        self.loop.call_later(_TAKING_S, self.transport.abort)

    def _refuse_rest(self) -> None:
        """Answer a request that is still arriving; the application hears that its client left."""
        if not self.cycle.response_started:
            status, headers, body = _refusal(
                self.scope["path"], UnavailableError("server", "it stops")
            )
            lines = [b"%b: %b\r\n" % header for header in headers]
            self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))


async def _refuse(scope: Any, _receive: Any, send: Any) -> None:
    """Answer that there are too many connections."""
    error = UnavailableError("connections", "there are too many")
    status, headers, body = _refusal(scope["path"], error)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _refusal(path: str, error: StanchionError) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """Return status, headers and body of an answer that ends its connection, as the path has it."""
    status = status_of(error)
    request_id = uuid.uuid4().hex
    body = json.dumps(form_of(path)(status, error, request_id)).encode()
    headers = [
        (b"x-request-id", request_id.encode()),
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    if isinstance(error, UnavailableError):
        headers.append((b"retry-after", b"%d" % error.retry_after_s))
    return status.value, headers, body
