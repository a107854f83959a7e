"""The wire of rooms' admin: what comes in, what goes out. Source: the rooms contract.

The contract's names for settings turn into ours here, both ways, and in errors too.
"""

import contextlib
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.reading import PLAIN, Body
from api.rooms.bodies import moment
from models.clock import iso_utc
from models.errors import InvalidError
from models.rooms import room as bounds
from models.rooms.room import Algorithm, Appearance, FailMode, Room
from models.rooms.rules import RoomStatus

_S_MS: Final = 1_000
# What the contract calls otherwise than we do. Names that end in `_seconds` hold milliseconds here,
# and those of moments are written as text there.
_NAMES: Final[Mapping[str, str]] = {
    "max_active_users": "capacity",
    "max_queue_size": "line_max",
    "admission_rate": "rate_per_s",
    "session_timeout_seconds": "session_ms",
    "session_cap_seconds": "session_cap_ms",
    "heartbeat_interval_seconds": "heartbeat_interval_ms",
    "heartbeat_timeout_seconds": "heartbeat_timeout_ms",
    "claim_timeout_seconds": "claim_ms",
    "fail_open_until": "fail_open_until_ms",
    "opens_at": "opens_at_ms",
}
_OURS: Final[Mapping[str, str]] = {ours: name for name, ours in _NAMES.items()}

RoomId = Annotated[str, Meta(pattern=bounds.ROOM_ID_PATTERN, extra={PLAIN: bounds.ROOM_ID_WORDS})]
Name = Annotated[str, Meta(min_length=1, max_length=bounds.NAME_CHARACTERS_MAX)]
Url = Annotated[
    str,
    Meta(min_length=1, max_length=bounds.URL_CHARACTERS_MAX, description="http:// or https://"),
]
Capacity = Annotated[
    int,
    Meta(
        ge=0,
        le=bounds.CAPACITY_MAX,
        description="sessions and reserved places together; 0: nobody is let in",
    ),
]
LineMax = Annotated[int, Meta(ge=0, le=bounds.LINE_MAX, description="0: no limit")]
Rate = Annotated[
    float, Meta(ge=0, le=bounds.RATE_PER_S_MAX, description="admitted a second; 0: nobody")
]
SessionSeconds = Annotated[int, Meta(ge=bounds.SESSION_S_MIN, le=bounds.SESSION_S_MAX)]
IntervalSeconds = Annotated[int, Meta(ge=1, le=bounds.HEARTBEAT_S_MAX)]
TimeoutSeconds = Annotated[int, Meta(ge=bounds.HEARTBEAT_TIMEOUT_S_MIN, le=bounds.HEARTBEAT_S_MAX)]
ClaimSeconds = Annotated[
    int,
    Meta(
        ge=bounds.CLAIM_S_MIN,
        le=bounds.CLAIM_S_MAX,
        description="how long a place inside is kept for somebody who was admitted",
    ),
]
Priority = Annotated[
    int,
    Meta(ge=0, le=bounds.PRIORITY_MAX, description="what visitors may claim without a code"),
]
Moment = Annotated[datetime, Meta(tz=True, description="ISO 8601 with an offset or Z")]


class RoomBody(Body, frozen=True, kw_only=True):
    """The settings of a room to make."""

    id: RoomId
    name: Name
    target_url: Url
    status: RoomStatus = RoomStatus.ACTIVE
    max_active_users: Capacity = bounds.CAPACITY_DEFAULT
    max_queue_size: LineMax = bounds.LINE_DEFAULT
    admission_rate: Rate = bounds.RATE_DEFAULT
    session_timeout_seconds: SessionSeconds = bounds.SESSION_DEFAULT_S
    session_renewal: bool = False
    session_cap_seconds: SessionSeconds = bounds.SESSION_CAP_DEFAULT_S
    heartbeat_interval_seconds: IntervalSeconds = bounds.HEARTBEAT_INTERVAL_DEFAULT_S
    heartbeat_timeout_seconds: TimeoutSeconds = bounds.HEARTBEAT_TIMEOUT_DEFAULT_S
    claim_timeout_seconds: ClaimSeconds = bounds.CLAIM_DEFAULT_S
    public_priority_max: Priority = bounds.PRIORITY_MAX
    invite_only: bool = False
    identify_by_ip: bool = False
    fail_mode: FailMode = FailMode.CLOSED
    fail_open_until: Moment | None = None
    algorithm: Algorithm = Algorithm.RS256
    opens_at: Moment | None = None
    draw: bool = False
    appearance: Appearance = bounds.PLAIN

    def room(self) -> Room:
        """Return it in our words."""
        return Room(**_ours({name: getattr(self, name) for name in self.__struct_fields__}))


class RoomChangeBody(Body, frozen=True, kw_only=True):
    """Settings to change: a missing one stays, null is the default again."""

    name: Name | UnsetType = UNSET
    target_url: Url | UnsetType = UNSET
    status: RoomStatus | UnsetType = UNSET
    max_active_users: Capacity | UnsetType | None = UNSET
    max_queue_size: LineMax | UnsetType | None = UNSET
    admission_rate: Rate | UnsetType | None = UNSET
    session_timeout_seconds: SessionSeconds | UnsetType | None = UNSET
    session_renewal: bool | UnsetType | None = UNSET
    session_cap_seconds: SessionSeconds | UnsetType | None = UNSET
    heartbeat_interval_seconds: IntervalSeconds | UnsetType | None = UNSET
    heartbeat_timeout_seconds: TimeoutSeconds | UnsetType | None = UNSET
    claim_timeout_seconds: ClaimSeconds | UnsetType | None = UNSET
    public_priority_max: Priority | UnsetType | None = UNSET
    invite_only: bool | UnsetType | None = UNSET
    identify_by_ip: bool | UnsetType | None = UNSET
    fail_mode: FailMode | UnsetType | None = UNSET
    fail_open_until: Moment | UnsetType | None = UNSET
    algorithm: Algorithm | UnsetType | None = UNSET
    opens_at: Moment | UnsetType | None = UNSET
    draw: bool | UnsetType | None = UNSET
    appearance: Appearance | UnsetType | None = UNSET

    @property
    def given(self) -> tuple[str, ...]:
        """Return the names of what was given."""
        return tuple(name for name in self.__struct_fields__ if getattr(self, name) is not UNSET)

    def changes(self) -> dict[str, Any]:
        """Return what changes, in our words."""
        values = {name: getattr(self, name) for name in self.given}
        return _ours(
            {name: _DEFAULTS[name] if value is None else value for name, value in values.items()}
        )


_DEFAULTS: Final = {field.name: field.default for field in msgspec.structs.fields(RoomBody)}


class RoomsQuery(Body, frozen=True):
    """Which page of the list: so many, behind this id."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: Annotated[str, Meta(max_length=64, pattern=r"^[!-~]*$")] = ""


class RoomMade(Struct, frozen=True, kw_only=True):
    """A room that was made."""

    id: str
    name: str
    status: str
    created_at: str


class RoomSettings(Struct, frozen=True, kw_only=True):
    """All settings, as they are."""

    target_url: str
    max_active_users: int
    max_queue_size: int
    admission_rate: int | float
    session_timeout_seconds: int
    session_renewal: bool
    session_cap_seconds: int
    heartbeat_interval_seconds: int
    heartbeat_timeout_seconds: int
    claim_timeout_seconds: int
    public_priority_max: int
    invite_only: bool
    identify_by_ip: bool
    fail_mode: str
    fail_open_until: str | None
    algorithm: str
    opens_at: str | None
    draw: bool
    appearance: Appearance


class RoomView(RoomSettings, frozen=True, kw_only=True):
    """A room with all its settings."""

    id: str
    name: str
    status: str
    created_at: str
    updated_at: str


class RoomChanged(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A room that was changed: what the request gave, as it is now."""

    id: str
    name: str
    status: str
    updated_at: str
    target_url: str | UnsetType = UNSET
    max_active_users: int | UnsetType = UNSET
    max_queue_size: int | UnsetType = UNSET
    admission_rate: int | float | UnsetType = UNSET
    session_timeout_seconds: int | UnsetType = UNSET
    session_renewal: bool | UnsetType = UNSET
    session_cap_seconds: int | UnsetType = UNSET
    heartbeat_interval_seconds: int | UnsetType = UNSET
    heartbeat_timeout_seconds: int | UnsetType = UNSET
    claim_timeout_seconds: int | UnsetType = UNSET
    public_priority_max: int | UnsetType = UNSET
    invite_only: bool | UnsetType = UNSET
    identify_by_ip: bool | UnsetType = UNSET
    fail_mode: str | UnsetType = UNSET
    fail_open_until: str | UnsetType | None = UNSET
    algorithm: str | UnsetType = UNSET
    opens_at: str | UnsetType | None = UNSET
    draw: bool | UnsetType = UNSET
    appearance: Appearance | UnsetType = UNSET


class RoomList(Struct, frozen=True):
    """A page of rooms; `next` is null on the last one."""

    queues: list[RoomView]
    next: str | None


class RoomDeleted(Struct, frozen=True):
    """A room that is gone."""

    id: str
    deleted_at: str
    status: str = "deleted"


def deleted(room_id: str, *, now_ms: int) -> RoomDeleted:
    """Show that a room is gone."""
    return RoomDeleted(id=room_id, deleted_at=moment(now_ms))


def made(room: Room) -> RoomMade:
    """Show a room as the answer to its making does."""
    return RoomMade(
        id=room.id,
        name=room.name,
        status=room.status.value,
        created_at=moment(room.created_at_ms),
    )


def view(room: Room) -> RoomView:
    """Show a room."""
    return RoomView(
        id=room.id,
        name=room.name,
        status=room.status.value,
        created_at=moment(room.created_at_ms),
        updated_at=moment(room.updated_at_ms),
        **{name: shown(room, name) for name in RoomSettings.__struct_fields__},
    )


def changed(room: Room, given: Collection[str]) -> RoomChanged:
    """Show what the request to change a room gave, as it is now."""
    return RoomChanged(
        id=room.id,
        name=room.name,
        status=room.status.value,
        updated_at=moment(room.updated_at_ms),
        **{name: shown(room, name) for name in given if name not in {"name", "status"}},
    )


def shown(room: Room, name: str) -> Any:
    """Return a setting by its name on the wire, as it is written there."""
    value = getattr(room, _NAMES.get(name, name))
    if name.endswith("_seconds"):
        return value // _S_MS
    if name in {"opens_at", "fail_open_until"}:
        return None if value is None else iso_utc(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


@contextlib.contextmanager
def wire_names() -> Iterator[None]:
    """Give fields in errors the names that the caller knows them by."""
    try:
        yield
    except InvalidError as error:
        details = {_OURS.get(name, name): reason for name, reason in error.details.items()}
        raise InvalidError(details) from None


def _ours(values: Mapping[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name, name): _our_value(name, value) for name, value in values.items()}


def _our_value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return int(value.timestamp() * _S_MS)
    return value * _S_MS if name.endswith("_seconds") else value
