"""The frames of the streaming consumer. docs/messages-stream.md is their protocol."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.reading import Body
from api.live.packets import frame
from api.messages import bodies as wire
from api.messages.bodies import Delay, Name, QueueName, Seconds, Token
from models.messages.rules import DEFAULT_QUEUE, Lease, Returned

# A frame takes no more messages once it is this long, so most clients' bounds hold it.
_FRAME_BYTES: Final = 65_536

Prefetch = Annotated[
    int, Meta(ge=0, le=10_000, description="messages held without an ack; 0 sends none")
]
Ref = int | Annotated[str, Meta(max_length=64)]
# What becomes of messages that a consumer holds when its connection ends.
AtClose = Literal["return", "keep"]


class StreamQuery(Body, frozen=True):
    """What a streaming consumer asks for."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "consumerId": "consumer_id",
        "ackTimeout": "ack_timeout_seconds",
    }

    prefetch: Prefetch | None = None
    type: Name | None = None
    consumer_id: Name | None = None
    ack_timeout_seconds: Seconds | None = None
    at_close: AtClose = "return"
    queue: QueueName = DEFAULT_QUEUE


class _Item(Body, frozen=True):
    id: str
    lock_token: Token | None = None


class AckItem(_Item, frozen=True):
    """A message that was dealt with."""


class NackItem(_Item, frozen=True):
    """A message that is given back."""

    error: str | None = None
    delay_seconds: Delay | None = None


class TouchItem(_Item, frozen=True):
    """A message that is needed longer."""

    extend_seconds: Seconds | None = None


class _Frame(Body, frozen=True, tag_field="type"):
    pass


class Ack(_Frame, frozen=True, tag="ack"):
    """Messages that were dealt with."""

    data: list[AckItem]
    ref: Ref | None = None


class Nack(_Frame, frozen=True, tag="nack"):
    """Messages that are given back."""

    data: list[NackItem]
    ref: Ref | None = None


class Touch(_Frame, frozen=True, tag="touch"):
    """Messages that are needed longer."""

    data: list[TouchItem]
    ref: Ref | None = None


class NewPrefetch(Body, frozen=True):
    """How many to send from now on."""

    prefetch: Prefetch


class SetPrefetch(_Frame, frozen=True, tag="prefetch"):
    """Another number of messages, from now on."""

    data: NewPrefetch


class Ping(_Frame, frozen=True, tag="ping"):
    """Somebody is there; is somebody there?"""

    data: Any = None


Settling = Ack | Nack | Touch
Frame = Ack | Nack | Touch | SetPrefetch | Ping


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of one message of a frame; `refused` has a code and a sentence."""

    id: str
    status: str
    acknowledged_at: str | UnsetType = UNSET
    attempt_count: int | UnsetType = UNSET
    max_attempts: int | UnsetType = UNSET
    locked_until: str | UnsetType = UNSET
    code: str | UnsetType = UNSET
    message: str | UnsetType = UNSET


class Outcomes(Struct, frozen=True, omit_defaults=True, tag="outcomes", tag_field="type"):
    """The answer to one frame, in its order."""

    data: list[Outcome]
    ref: int | str | UnsetType = UNSET


read_frame: Final = msgspec.json.Decoder(Frame).decode
# The shapes by the word in `type`.
SHAPES: Final[Mapping[str, type[Struct]]] = {
    "ack": Ack,
    "nack": Nack,
    "touch": Touch,
    "prefetch": SetPrefetch,
    "ping": Ping,
}


def acknowledged(message_id: str, at_ms: int) -> Outcome:
    """Answer an ack."""
    return Outcome(message_id, "acknowledged", acknowledged_at=wire.moment(at_ms))


def rejected(message_id: str, returned: Returned) -> Outcome:
    """Answer a nack."""
    return Outcome(
        message_id,
        returned.state.value,
        attempt_count=returned.attempt_count,
        max_attempts=returned.max_attempts,
    )


def touched(message_id: str, until_ms: int) -> Outcome:
    """Answer a touch."""
    return Outcome(message_id, "processing", locked_until=wire.moment(until_ms))


def outcomes_frame(outcomes: list[Outcome], ref: int | str | None) -> bytes:
    """Return the answer to a frame that named so many messages, as it goes over the wire."""
    return frame(wire.encode(Outcomes(outcomes, UNSET if ref is None else ref)))


def message_frames(leases: list[Lease]) -> list[tuple[bytes, list[Lease]]]:
    """Return frames that carry messages, each with those it carries."""
    frames: list[tuple[bytes, list[Lease]]] = []
    texts: list[bytes] = []
    carried: list[Lease] = []
    size = 0
    for lease in leases:
        text = wire.encode(wire.leased_message(lease))
        if texts and size + len(text) > _FRAME_BYTES:
            frames.append((_messages(texts), carried))
            texts, carried, size = [], [], 0
        texts.append(text)
        carried.append(lease)
        size += len(text)
    if texts:
        frames.append((_messages(texts), carried))
    return frames


def _messages(texts: list[bytes]) -> bytes:
    return frame(b'{"type":"messages","data":[' + b",".join(texts) + b"]}")
