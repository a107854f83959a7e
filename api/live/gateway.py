"""The live side of the application: which connection is whose, and how all of them end.

Stands beside the HTTP resources in the same ASGI application; what a channel registers is served
at its namespace and at its path, by whatever process runs this: the API or the relay.
"""

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from api.auth.origins import Origins
from api.http.errors import phrase, status_of
from api.live.callers import LiveCallers
from api.live.channel import Channel
from api.live.conversation import Talker
from api.live.handshake import Handshake
from api.live.hub import Hub
from api.live.limits import LiveLimits
from api.live.packets import encode_json
from api.live.rights import Rights
from api.live.rooms import ChosenRooms
from api.live.sockets import SocketioServer
from api.live.tail import StreamTail
from api.live.websocket import ChannelTalker, WebSocketServer
from models.errors import LimitError, NotFoundError, StanchionError, UnavailableError

_SOCKETIO: Final = "/socket.io/"
_RETRY_AFTER_S: Final = 5


class NoSuchSocketError(NotFoundError):
    """No WebSocket is served at this path."""

    code = "no_such_socket"

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.path = path

    def __str__(self) -> str:
        return f"no WebSocket is served at {self.path}"


class LiveGateway:
    """Serves Socket.IO and WebSockets for a set of channels, and other talkers beside them.

    What talkers there are says `sockets`, which is given the watch over their clients' rights.
    """

    def __init__(
        self,
        channels: Sequence[Channel],
        tails: Mapping[str, StreamTail],
        *,
        callers: LiveCallers,
        origins: Origins,
        rooms: ChosenRooms,
        limits: LiveLimits,
        sockets: Callable[[Rights], Sequence[Talker]] = lambda _rights: (),
    ) -> None:
        self._limits: Final = limits
        self._origins: Final = origins
        self._callers: Final = callers
        self._rights: Final = Rights(callers.find, every_s=limits.recheck_s)
        self._hubs: Final = [
            Hub(channel, tails[channel.domain], self._rights, limits) for channel in channels
        ]
        channel_talkers: list[Talker] = [ChannelTalker(hub, limits) for hub in self._hubs]
        self.talkers: Final = [*channel_talkers, *sockets(self._rights)]
        self._paths: Final = [
            (_pattern(talker.at.path), talker) for talker in self.talkers if talker.at.path
        ]
        self._websockets: Final = WebSocketServer(authenticate=callers.find, limits=limits)
        self._socketio: Final = SocketioServer(
            {hub.channel.at.namespace: hub for hub in self._hubs if hub.channel.at.namespace},
            authenticate=callers.find,
            rooms=rooms,
            limits=limits,
        )
        self._is_draining = False

    @property
    def connection_count(self) -> int:
        """Return how many clients are connected, by Socket.IO or by a WebSocket."""
        return self._websockets.connection_count + self._socketio.connection_count

    @staticmethod
    def serves(scope: Mapping[str, Any]) -> bool:
        """Say whether a connection is for this side: every WebSocket, and Socket.IO's polls."""
        return scope["type"] == "websocket" or (
            scope["type"] == "http" and f"{scope['path']}/".startswith(_SOCKETIO)
        )

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection, or refuse it before it is one."""
        is_socketio = f"{scope['path']}/".startswith(_SOCKETIO)
        try:
            handshake = Handshake(scope)
            # Only Socket.IO goes on with a session; anywhere else the word means nothing.
            is_new = not (is_socketio and handshake.query.get("sid"))
            found = None if is_socketio else self._find(scope["path"])
            # A visitor shows a token, and no cookie that another site's page could make use of.
            if found is None or not found[0].at.who.visitors:
                await self._check_origin(handshake, is_new=is_new)
            if is_new:
                self._check_room()
        except StanchionError as error:
            await _refuse(scope, send, error)
            return
        if found is None:
            await self._socketio.handle_request(scope, receive, send)
        else:
            talker, parameters = found
            await self._websockets.serve(talker, parameters, scope, receive, send)

    async def run(self) -> None:
        """Do what is done regularly, until cancelled."""
        await asyncio.gather(self._rights.run(), *(hub.run() for hub in self._hubs))

    def drain(self) -> None:
        """Close every connection, and let no new one in."""
        self._is_draining = True
        self._websockets.close_all()
        self._socketio.close_all()

    async def _check_origin(self, handshake: Handshake, *, is_new: bool) -> None:
        """Refuse pages of other sites; without keys also names that are not this machine's."""
        if is_new and await self._callers.is_open():
            self._callers.check_this_machine(handshake.request)
            self._origins.check_own_machine(handshake.request)
        else:
            self._origins.check_page(handshake.request)

    def _find(self, path: str) -> tuple[Talker, Mapping[str, str]]:
        for pattern, talker in self._paths:
            if match := pattern.fullmatch(path):
                return talker, match.groupdict()
        raise NoSuchSocketError(path)

    def _check_room(self) -> None:
        if self._is_draining:
            raise UnavailableError("live side", "the server stops")
        if self.connection_count >= self._limits.sockets_max:
            raise LimitError("sockets_max", self._limits.sockets_max, _RETRY_AFTER_S)


def _pattern(path: str) -> re.Pattern[str]:
    """Return what matches a path with `{names}` for whole segments."""
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>[^/]+)", re.escape(path)))


async def _refuse(scope: Any, send: Any, error: StanchionError) -> None:
    """Answer a first request with a status; a WebSocket is refused before it is accepted."""
    status = status_of(error)
    headers = [(b"content-type", b"application/json")]
    retry_after_s = getattr(error, "retry_after_s", None)
    if retry_after_s is not None:
        headers.append((b"retry-after", str(retry_after_s).encode()))
    kind = "http.response" if scope["type"] == "http" else "websocket.http.response"
    await send({"type": f"{kind}.start", "status": int(status), "headers": headers})
    body = encode_json({"error": phrase(status), "message": str(error), "code": error.code})
    await send({"type": f"{kind}.body", "body": body})
