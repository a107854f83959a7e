"""The wire of visitors: what comes in, what goes out. Source: the rooms contract."""

import functools
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import msgspec
from falcon.asgi import Request
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.reading import BodyType, read_bytes, read_json
from models.clock import iso_utc
from models.errors import InvalidError
from models.rooms.rules import LANES

# What a page knows of its visitor, not a document.
METADATA_FIELDS_MAX: Final = 50
METADATA_BYTES_MAX: Final = 4_096
_S_MS: Final = 1_000

Priority = Annotated[int, Meta(ge=0, le=max(LANES), description="3 goes first")]
Value = str | int | float | bool
encode: Final = msgspec.json.Encoder().encode


class Code(Struct, frozen=True):
    """What a refusal says."""

    code: str
    message: str
    details: dict[str, Any]


class RoomsError(Struct, frozen=True):
    """A refusal."""

    error: Code
    request_id: str


# Pages of any site send these, with what they like beside it; the contract forbids nothing.
class EnqueueBody(Struct, frozen=True):
    """What a visitor says when joining; an empty body says nothing."""

    priority: Priority = 0
    metadata: dict[str, Value] = {}
    code: Annotated[str, Meta(max_length=4_096)] | None = None  # for a priority that is not public


class HeartbeatBody(Struct, frozen=True):
    """A sign of life; `token` is for beacons, which can set no headers."""

    timestamp: int | float | None = None
    client_id: str | None = None
    token: str | None = None
    event: str | None = None


class ActivityBody(Struct, frozen=True):
    """What a visitor does inside."""

    action: str = "page_view"
    page: str | None = None
    timestamp: int | float | None = None


class EstimateRange(Struct, frozen=True):
    """Between what the wait lies, nine times in ten."""

    low_seconds: int
    high_seconds: int


class Enqueued(Struct, frozen=True, omit_defaults=True):
    """A place in the line; who is in already is told where to go."""

    position_id: str
    queue_id: str
    position: int
    queue_length: int
    estimated_wait_seconds: int | None
    status: str
    token: str
    heartbeat_interval_seconds: int
    heartbeat_timeout_seconds: int
    expires_at: str
    estimate: EstimateRange | UnsetType = UNSET
    opens_at: str | UnsetType = UNSET  # of a room with an opening
    drawn: bool | UnsetType = UNSET  # of a room that draws: whether `position` is a place yet
    session_token: str | UnsetType = UNSET
    redirect_url: str | UnsetType = UNSET
    session_expires_at: str | UnsetType = UNSET


class Waiting(Struct, frozen=True):
    """Where somebody stands who waits."""

    position_id: str
    queue_id: str
    position: int
    queue_length: int
    estimated_wait_seconds: int | None
    token: str
    expires_at: str
    status: str = "waiting"
    admitted: bool = False
    estimate: EstimateRange | UnsetType = UNSET
    opens_at: str | UnsetType = UNSET
    drawn: bool | UnsetType = UNSET


class Admitted(Struct, frozen=True):
    """Where somebody goes who was let in."""

    position_id: str
    queue_id: str
    queue_length: int
    session_token: str
    redirect_url: str
    session_expires_at: str
    status: str = "admitted"
    position: int = 0
    estimated_wait_seconds: int = 0
    admitted: bool = True


class Beat(Struct, frozen=True):
    """The answer to a sign of life of somebody who waits."""

    position_id: str
    position: int
    queue_length: int
    estimated_wait_seconds: int | None
    token: str
    next_heartbeat_seconds: int
    status: str = "waiting"
    estimate: EstimateRange | UnsetType = UNSET
    drawn: bool | UnsetType = UNSET


class BeatAdmitted(Struct, frozen=True):
    """The answer to a sign of life of somebody who was let in."""

    position_id: str
    session_token: str
    redirect_url: str
    status: str = "admitted"


class Cancelled(Struct, frozen=True):
    """A place that was given up."""

    position_id: str
    cancelled_at: str
    status: str = "cancelled"


class SessionBody(Struct, frozen=True):
    """A session that goes on."""

    session_id: str
    queue_id: str
    position_id: str
    status: str
    started_at: str
    expires_at: str
    last_activity: str
    page_views: int
    remaining_seconds: int


class SessionEnded(Struct, frozen=True):
    """A session that its visitor, or the site, is done with."""

    session_id: str
    status: str
    terminated_at: str


class ActivityNoted(Struct, frozen=True, omit_defaults=True):
    """What a visitor did was noted; a session that got longer than its token has a new one."""

    session_id: str
    status: str
    page_views: int
    expires_at: str
    session_token: str | UnsetType = UNSET


@functools.lru_cache(maxsize=4096)
def _moment(second: int) -> str:
    return iso_utc(second * _S_MS).replace(".000Z", "Z")


def moment(at_ms: int) -> str:
    """Return a moment as the contract writes it, in whole seconds."""
    return _moment(at_ms // _S_MS)


def seconds(span_ms: int) -> int:
    """Return a span in whole seconds."""
    return span_ms // _S_MS


def reader_of(shape: type[BodyType]) -> Callable[[Request, int], Awaitable[BodyType]]:
    """Return what reads a JSON body, whatever its content type says; empty means the defaults.

    A beacon sends its JSON as text, and who has nothing to say sends nothing.
    """
    decoder = msgspec.json.Decoder(shape)

    async def read(req: Request, size_max: int) -> BodyType:
        raw = await read_bytes(req, size_max)
        return read_json(raw if raw.strip() else b"{}", decoder)

    return read


def check_metadata(metadata: Mapping[str, Value]) -> None:
    """Raise InvalidError if somebody says too much of themselves."""
    if len(metadata) > METADATA_FIELDS_MAX:
        raise InvalidError(
            {"metadata": f"must have at most {METADATA_FIELDS_MAX} fields, got {len(metadata)}"}
        )
    size = len(encode(metadata))
    if size > METADATA_BYTES_MAX:
        raise InvalidError({"metadata": f"must be at most {METADATA_BYTES_MAX} bytes, got {size}"})
