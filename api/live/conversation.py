"""The beginning of every raw WebSocket: what a client says, and who it is.

A client shows who it is in its headers, in its address, or in a first message of type `auth`. What
refuses it is told in a frame `error` and by the code of the close: browsers see no status.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final, Protocol

import msgspec

from api.auth.callers import NOBODY
from api.auth.table import SocketRow, Who
from api.live.callers import require
from api.live.channel import Authenticate, Credentials
from api.live.handshake import Handshake
from api.live.limits import LiveLimits
from api.live.member import Entry
from api.live.packets import FrameForm, encode_json, frame
from api.live.rights import ChangedCallerError
from api.live.wire import CloseCode, Wire
from models.errors import (
    ForbiddenError,
    InvalidError,
    NotFoundError,
    StanchionError,
    UnauthenticatedError,
    UnavailableError,
)

FORM: Final = FrameForm()


class Said(msgspec.Struct, frozen=True):
    """One message of a client."""

    type: str
    data: Any = None


_decode: Final = msgspec.json.Decoder(Said).decode


class Closed(Exception):  # noqa: N818  # no error: it ends a conversation
    """The conversation is over, for a reason that the peer is told if it still listens."""

    def __init__(self, code: CloseCode | None = None, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class Conversation:
    """What one client says, and what it is answered."""

    def __init__(self, wire: Wire, receive: Any, limits: LiveLimits) -> None:
        self.wire: Final = wire
        self._receive: Final = receive
        self._message_bytes_max: Final = limits.message_bytes_max

    async def next_text(self) -> str:
        """Return the next message; raises Closed at the end, and for one that is none."""
        told = await self._receive()
        while told["type"] == "websocket.connect":
            told = await self._receive()
        if told["type"] != "websocket.receive":
            raise Closed
        text: str | None = told.get("text")
        if text is None:
            raise Closed(CloseCode.NOT_TEXT, "expected text")
        if len(text) > self._message_bytes_max:
            raise Closed(CloseCode.TOO_BIG, "message is too big")
        return text

    async def next(self) -> Said:
        """Return the next message, read; raises Closed for one that cannot be."""
        text = await self.next_text()
        try:
            return _decode(text)
        except (msgspec.DecodeError, RecursionError):
            raise Closed(CloseCode.MALFORMED, 'expected {"type": …, "data": …}') from None

    def tell(self, name: str, data: object) -> None:
        """Send the client a frame of its own."""
        self.wire.write(frame(FORM.write(name, encode_json(data), None)))

    def refused(self, error: StanchionError) -> Closed:
        """Tell why a client is not let in, and return how to close."""
        tell_refusal(self.wire, error)
        return Closed(close_code_of(error), error.code)


class Talker(Protocol):
    """What is spoken at one address, once it is known who is there."""

    @property
    def at(self) -> SocketRow:
        """Return where it is spoken, and who may."""

    async def talk(
        self, conversation: Conversation, entry: Entry, asked: Mapping[str, Any]
    ) -> None:
        """Talk with one client until it hangs up; raises Closed to close.

        `asked` are the parameters of the address and of the first message.
        """


class Door(Protocol):
    """How new clients of a WebSocket come in."""

    async def admit(
        self,
        conversation: Conversation,
        handshake: Handshake,
        who: Who,
        parameters: Mapping[str, str],
    ) -> tuple[Entry, Mapping[str, Any]]:
        """Return who is there and what is asked, by the address or by a first message.

        Raises Closed for who may not.
        """


class Doorkeeper:
    """Finds out who a new client is, and lets in who may."""

    def __init__(self, authenticate: Authenticate, limits: LiveLimits) -> None:
        self._authenticate: Final = authenticate
        self._timeout_s: Final = limits.authentication_timeout_s

    async def admit(
        self,
        conversation: Conversation,
        handshake: Handshake,
        who: Who,
        parameters: Mapping[str, str],
    ) -> tuple[Entry, Mapping[str, Any]]:
        """Return who is there and what is asked, by the address or by a first message.

        Raises Closed for who may not.
        """
        shown = handshake.credentials({})
        asked = {**handshake.query, **parameters}
        try:
            caller = await self._authenticate(shown)
            require(caller, who)
        except UnauthenticatedError as error:
            if not shown.are_empty:
                raise conversation.refused(error) from None
        except StanchionError as error:
            raise conversation.refused(error) from None
        else:
            return Entry(caller, shown), asked
        said = await _first_message(conversation, self._timeout_s)
        shown = handshake.credentials(said)
        try:
            caller = await self._authenticate(shown)
            require(caller, who)
        except StanchionError as error:
            raise conversation.refused(error) from None
        return Entry(caller, shown), {**handshake.query, **said, **parameters}


class TokenDoor:
    """Waits for a token, for a talker that gave it out and refuses who has none or a wrong one."""

    def __init__(self, limits: LiveLimits) -> None:
        self._timeout_s: Final = limits.authentication_timeout_s

    async def admit(
        self,
        conversation: Conversation,
        handshake: Handshake,
        who: Who,  # noqa: ARG002  # what it says of visitors is the talker's to check
        parameters: Mapping[str, str],
    ) -> tuple[Entry, Mapping[str, Any]]:
        """Return the token, if one is shown, in an entry of nobody's, and what is asked."""
        said: Mapping[str, Any] = {}
        token = handshake.credentials(said).token
        if token is None:
            said = await _first_message(conversation, self._timeout_s)
            token = handshake.credentials(said).token
        entry = Entry(NOBODY, Credentials(token=token))
        return entry, {**handshake.query, **said, **parameters}


async def _first_message(conversation: Conversation, timeout_s: float) -> Mapping[str, Any]:
    """Return the data of `auth`; of anything else nothing, which shows no credentials."""
    try:
        async with asyncio.timeout(timeout_s):
            first = await conversation.next()
    except TimeoutError:
        raise Closed(CloseCode.TOO_LATE, "no auth in time") from None
    is_auth = first.type == "auth" and isinstance(first.data, dict)
    return first.data if is_auth else {}


def tell_refusal(wire: Wire, error: StanchionError) -> None:
    """Send the frame `error`."""
    data: dict[str, object] = {"code": error.code, "message": str(error)}
    if isinstance(error, InvalidError):
        data["details"] = error.details
    wire.write(frame(FORM.write("error", encode_json(data), None)))


def close_code_of(error: StanchionError) -> CloseCode:
    """Return the code by which a refused client is closed."""
    if isinstance(error, ChangedCallerError):
        return CloseCode.RESTART
    if isinstance(error, UnauthenticatedError):
        return CloseCode.UNAUTHENTICATED
    if isinstance(error, ForbiddenError):
        return CloseCode.FORBIDDEN
    if isinstance(error, NotFoundError):
        return CloseCode.NOT_FOUND
    if isinstance(error, UnavailableError):
        return CloseCode.TOO_SLOW
    return CloseCode.MALFORMED
