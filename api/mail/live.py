"""`/ws`: what happens to the mail, in the frames of the original; docs/mail-live.md tells clients.

Everybody hears `queue_update` and `dashboard_update`. Who subscribed to an endpoint hears what
concerns it once more, with `endpoint`, which is how the original's client tells the two apart.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from api.auth.table import MAIL_CHANNEL, MAIL_SOCKET, SocketRow
from api.live.channel import Admission, Channel
from api.live.conversation import Closed, Conversation, close_code_of, tell_refusal
from api.live.limits import LiveLimits
from api.live.member import Entry
from api.live.pace import Pace
from api.live.packets import encode_json, frame
from api.live.rights import Rights
from api.live.tail import LiveEvent, StreamTail
from api.live.wire import CloseCode, Wire
from api.mail.log_bodies import entries
from models.clock import iso_utc
from models.errors import StanchionError, UnavailableError
from models.mail.facts import ALARM, DOMAIN, HEARD, LOGGED, QUEUE_UPDATE
from models.mail.log_service import LogService
from models.mail.log_views import LogFilter

QUEUE: Final = "/api/v1/queue"
LOG_TAIL: Final = "/api/v1/logs/tail"
DASHBOARD: Final = "/api/v1/dashboard"
DIALOGUE: Final = "/api/v1/messages/{message_id}/dialogue"
_ENDPOINTS_MAX: Final = 32
_ENDPOINT_CHARACTERS_MAX: Final = 200
_DASHBOARD_EVERY_S: Final = 30.0
_LINES_AT_ONCE: Final = 200


class MailSaid(msgspec.Struct, frozen=True):
    """One message of a client."""

    type: str
    endpoint: str = ""


_decode: Final = msgspec.json.Decoder(MailSaid).decode


class MailListener:
    """One client on the raw WebSocket, and to what it subscribed."""

    def __init__(self, entry: Entry, wire: Wire, buffer_bytes_max: int) -> None:
        self.caller = entry.caller
        self.shown: Final = entry.shown
        self.endpoints: Final[set[str]] = set()
        self._wire: Final = wire
        self._buffer_bytes_max: Final = buffer_bytes_max

    def write(self, frames: bytes) -> None:
        """Send frames; a client that reads too slowly is closed, and comes back."""
        if self._wire.buffered_bytes > self._buffer_bytes_max:
            self._wire.close(CloseCode.TOO_SLOW, "reads too slowly")
        else:
            self._wire.write(frames)

    async def refuse(self, error: StanchionError) -> None:
        """Tell the client why it may no longer be here, and close."""
        tell_refusal(self._wire, error)
        self._wire.close(close_code_of(error), error.code)


class MailListeners:
    """Everybody in this process who listens at `/ws`; follows the stream of mail."""

    def __init__(self, tail: StreamTail, log: LogService, *, now_ms: Callable[[], int]) -> None:
        self._tail: Final = tail
        self._log: Final = log
        self.now_ms: Final = now_ms
        self._all: Final[set[MailListener]] = set()
        self._logged: Final = asyncio.Event()
        self._last_line: int | None = None  # that was told; None while nobody wants lines

    async def enter(self, listener: MailListener) -> None:
        """Let a client hear everything from now on."""
        self._all.add(listener)
        await self._tail.follow(self)

    def leave(self, listener: MailListener) -> None:
        """Let a client go."""
        self._all.discard(listener)
        if not self._all:
            self._tail.leave(self)

    async def subscribe(self, listener: MailListener, endpoint: str) -> None:
        """Tell a client more of an endpoint; raises UnavailableError."""
        if endpoint == LOG_TAIL and self._last_line is None:
            newest = await self._log.newest(LogFilter(), count=1)
            self._last_line = newest[-1].id if newest else 0
        listener.endpoints.add(endpoint)

    async def take(self, events: Sequence[LiveEvent]) -> None:
        """Hand on what happened, in the order of the stream."""
        for each in events:
            if each.event.name == QUEUE_UPDATE:
                self._tell(QUEUE_UPDATE, each.event.data, of=QUEUE)
            elif each.event.name == LOGGED:
                self._logged.set()
            elif each.event.name == ALARM:
                self._tell(ALARM, each.event.data, of=DASHBOARD)
            elif each.event.name == HEARD:
                self._tell_piece(each.event.data)

    def lose_place(self) -> None:
        """Tell everybody that something happened which is no longer known."""
        now = iso_utc(self.now_ms())
        missed = {"action": "resync", "status": "completed", "timestamp": now}
        self._tell(QUEUE_UPDATE, missed, of=QUEUE)
        self._logged.set()

    async def run(self) -> None:
        """Tell what is told regularly, and the lines of the logs, until cancelled."""
        await asyncio.gather(self._tell_dashboard(), self._tell_lines())

    def _tell(self, name: str, data: Mapping[str, object], *, of: str) -> None:
        plain = frame(encode_json({"type": name, "data": data}))
        subscribed = frame(encode_json({"type": name, "data": data, "endpoint": of}))
        for listener in tuple(self._all):
            listener.write(plain)
            if of in listener.endpoints:
                listener.write(subscribed)

    def _tell_piece(self, piece: Mapping[str, object]) -> None:
        """Tell what is said in an attempt to those who listen to that message."""
        of = DIALOGUE.format(message_id=piece["message_id"])
        told = {"type": "subscription_update", "data": piece, "endpoint": of}
        subscribed = [each for each in self._all if of in each.endpoints]
        if subscribed:
            frames = frame(encode_json(told))
            for listener in subscribed:
                listener.write(frames)

    async def _tell_dashboard(self) -> None:
        while True:
            await asyncio.sleep(_DASHBOARD_EVERY_S)
            now = iso_utc(self.now_ms())
            data = {"timestamp": now, "type": "periodic_update"}
            self._tell("dashboard_update", data, of=DASHBOARD)

    async def _tell_lines(self) -> None:
        while True:
            await self._logged.wait()
            self._logged.clear()
            readers = [each for each in self._all if LOG_TAIL in each.endpoints]
            if not readers:
                self._last_line = None
                continue
            try:
                lines = await self._log.newest(
                    LogFilter(after_id=self._last_line or 0), count=_LINES_AT_ONCE
                )
            except UnavailableError:
                continue  # the next line asks again
            for line, body in zip(lines, entries(lines), strict=True):
                self._last_line = line.id
                told = {"type": "subscription_update", "data": body, "endpoint": LOG_TAIL}
                for listener in readers:
                    listener.write(frame(encode_json(told)))


class MailSocket:
    """Talks with the clients of `/ws`."""

    at: Final[SocketRow] = MAIL_SOCKET

    def __init__(self, listeners: MailListeners, rights: Rights, limits: LiveLimits) -> None:
        self._listeners: Final = listeners
        self._rights: Final = rights
        self._limits: Final = limits

    async def talk(
        self, conversation: Conversation, entry: Entry, asked: Mapping[str, Any]
    ) -> None:
        """Talk with one client until it hangs up; raises Closed to close."""
        del asked  # the original's client asks by messages
        listener = MailListener(entry, conversation.wire, self._limits.buffer_bytes_max)
        pace = Pace(self._limits.messages_per_s)
        self._rights.watch(listener, self.at.who)
        try:
            await self._listeners.enter(listener)
            while True:
                await self._answer(conversation, listener, pace)
        finally:
            self._listeners.leave(listener)
            self._rights.forget(listener, self.at.who)

    async def _answer(self, conversation: Conversation, listener: MailListener, pace: Pace) -> None:
        text = await conversation.next_text()
        if not pace.allows():
            raise Closed(CloseCode.TOO_FAST, "too many messages")
        try:
            said = _decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise Closed(CloseCode.MALFORMED, 'expected {"type": …, "endpoint": …}') from None
        if said.type == "auth":
            conversation.tell("connected", {})  # who says who it is was let in by its cookie
        elif said.type == "ping":
            now = iso_utc(self._listeners.now_ms())
            conversation.tell("pong", {"timestamp": now})
        elif said.type == "subscribe":
            await self._subscribe(conversation, listener, said.endpoint)
        elif said.type == "unsubscribe":
            listener.endpoints.discard(said.endpoint)
            done = {"endpoint": said.endpoint, "status": "success"}
            conversation.tell("unsubscribed", done)
        else:
            conversation.tell("error", {"code": "unknown_type", "message": said.type[:64]})

    async def _subscribe(
        self, conversation: Conversation, listener: MailListener, endpoint: str
    ) -> None:
        if not 0 < len(endpoint) <= _ENDPOINT_CHARACTERS_MAX:
            conversation.tell("error", {"code": "invalid_request", "message": "endpoint"})
        elif len(listener.endpoints) >= _ENDPOINTS_MAX and endpoint not in listener.endpoints:
            conversation.tell("error", {"code": "limit", "message": "too many subscriptions"})
        else:
            try:
                await self._listeners.subscribe(listener, endpoint)
            except UnavailableError as error:
                conversation.tell("error", {"code": error.code, "message": str(error)})
                return
            conversation.tell("subscribed", {"endpoint": endpoint, "status": "success"})


def mail_channel() -> Channel:
    """Return what pages listen to on Socket.IO: the events of the stream as they are."""

    async def admit(_caller: object, _asked: Mapping[str, Any]) -> Admission:
        return Admission()

    return Channel(domain=DOMAIN, at=MAIL_CHANNEL, admit=admit)
