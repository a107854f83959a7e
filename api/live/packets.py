"""Events as the bytes that clients get, made once for all clients of a kind.

A `Form` writes an event as one message of its protocol; a `Packet` holds the messages of some
events, once as WebSocket frames and once as Engine.IO's polling wants them.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import msgspec

from api.live.tail import START, Place

encode_json: Final = msgspec.json.Encoder().encode

_FINAL_TEXT: Final = 0x81  # FIN, opcode 1: RFC 6455, 5.2
_SHORT_MAX: Final = 125
_MEDIUM_MAX: Final = 65_535
_SEPARATOR: Final = "\x1e"  # between packets in one answer of Engine.IO's polling


class Form(Protocol):
    """How a kind of client wants events."""

    def write(self, name: str, data: bytes, offset: str | None) -> bytes:
        """Return the text of one message; `data` is JSON, `offset` None outside the stream."""


@dataclass(frozen=True, slots=True)
class FrameForm:
    """Raw WebSockets: `{"type", "data", "offset"}`."""

    def write(self, name: str, data: bytes, offset: str | None) -> bytes:
        """Return the text of one message."""
        head = b'{"type":' + encode_json(name) + b',"data":' + data
        if offset is None:
            return head + b"}"
        return head + b',"offset":"' + offset.encode() + b'"}'


@dataclass(frozen=True, slots=True)
class SocketioForm:
    """Socket.IO within Engine.IO: an event of a namespace, its offset as the last argument.

    Clients that ask for no recovery get one argument, and the offset within it.
    """

    namespace: str
    has_recovery: bool

    def write(self, name: str, data: bytes, offset: str | None) -> bytes:
        """Return the text of one message."""
        head = b"42" + self.namespace.encode() + b",[" + encode_json(name) + b"," + data
        if offset is None:
            return head + b"]"
        if self.has_recovery:
            return head + b',"' + offset.encode() + b'"]'
        comma = b"" if data == b"{}" else b","
        return head[:-1] + comma + b'"offset":"' + offset.encode() + b'"}]'


class Packet:
    """The messages of some events, in order, with their places; made once, sent to many."""

    packet_type: Final = 4  # Engine.IO's MESSAGE, for which it stands among packets that wait
    __slots__ = ("_text", "first", "frames", "last", "places", "texts")

    def __init__(self, texts: Sequence[bytes], places: Sequence[Place]) -> None:
        self.texts: Final = texts
        self.places: Final = places
        self.first: Final = places[0]
        self.last: Final = places[-1]
        self.frames: Final = b"".join([frame(text) for text in texts])
        self._text: str | None = None

    def behind(self, place: Place) -> "Packet | None":
        """Return what of it lies behind a place; None if nothing does."""
        left = [i for i, at in enumerate(self.places) if at > place]
        if not left:
            return None
        return Packet([self.texts[i] for i in left], [self.places[i] for i in left])

    def encode(self, *, b64: bool = False) -> str:  # noqa: ARG002  # Engine.IO's name
        """Return the messages as a part of an answer to Engine.IO's polling."""
        if self._text is None:
            self._text = _SEPARATOR.join([text.decode() for text in self.texts])
        return self._text


def single(text: bytes) -> Packet:
    """Return a packet that stands outside the stream, and so is never behind anything."""
    return Packet([text], [START])


def frame(text: bytes) -> bytes:
    """Return a text as one WebSocket frame from a server: whole, unmasked, uncompressed."""
    length = len(text)
    if length <= _SHORT_MAX:
        return bytes((_FINAL_TEXT, length)) + text
    if length <= _MEDIUM_MAX:
        return struct.pack("!BBH", _FINAL_TEXT, 126, length) + text
    return struct.pack("!BBQ", _FINAL_TEXT, 127, length) + text
