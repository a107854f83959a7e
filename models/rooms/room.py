"""A room as somebody set it up: its settings, their bounds, what is wrong with them; no I/O.

All moments and spans are milliseconds. SQL is the truth about rooms, and what scripts must know of
one is copied to Redis from there.
"""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from models.errors import ConflictError, InvalidError, LimitError, NotFoundError
from models.rooms.rules import LineConfig, RoomStatus

# A room's id is part of paths and of keys between braces, so it is plain.
ROOM_ID_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"
ROOM_ID_WORDS: Final = (
    "1 to 64 letters without accents, digits, dots, hyphens and underscores, "
    "of which the first is a letter or digit"
)
NAME_CHARACTERS_MAX: Final = 200
URL_CHARACTERS_MAX: Final = 2_048
CAPACITY_MAX: Final = 10_000_000
LINE_MAX: Final = 100_000_000
RATE_PER_S_MAX: Final = 100_000
SESSION_S_MAX: Final = 2_592_000
# People test with the smallest ones.
SESSION_S_MIN: Final = 1
CLAIM_S_MIN: Final = 1
CLAIM_S_MAX: Final = 86_400
HEARTBEAT_TIMEOUT_S_MIN: Final = 2
HEARTBEAT_S_MAX: Final = 86_400
PRIORITY_MAX: Final = 3
SECRET_BYTES: Final = 32

LINE_DEFAULT: Final = 0  # no limit
RATE_DEFAULT: Final = 10
CAPACITY_DEFAULT: Final = 1_000
SESSION_DEFAULT_S: Final = 3_600
SESSION_CAP_DEFAULT_S: Final = 14_400
HEARTBEAT_INTERVAL_DEFAULT_S: Final = 10
HEARTBEAT_TIMEOUT_DEFAULT_S: Final = 60
CLAIM_DEFAULT_S: Final = 120

Title = Annotated[str, Meta(max_length=120)]
Text = Annotated[str, Meta(max_length=2_000, description="plain text, shown to visitors")]
Colour = Annotated[
    str,
    Meta(
        pattern=r"^#[0-9A-Fa-f]{6}$",
        description="such as #1a2b3c",
        extra={"plain": "a colour such as #1a2b3c"},
    ),
]
Language = Literal["en", "vi"]

_URL: Final = re.compile(r"[!-~]+")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]+")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")


class FailMode(StrEnum):
    """What a protected site does with visitors who hold no session while the store is away."""

    CLOSED = "closed"  # nobody new comes in
    OPEN = "open"  # everybody comes in, until a moment
    HOLD = "hold"  # they wait on the page, and nobody is refused


class Algorithm(StrEnum):
    """What signs the tokens of a room."""

    RS256 = "RS256"  # the contract's
    ES256 = "ES256"  # over three times as fast


class Words(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the page says in one language, empty: what it says by itself."""

    title: Title = ""
    text: Text = ""


class Colours(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The colours of the page, null: its own."""

    accent: Colour | None = None
    background: Colour | None = None
    text: Colour | None = None


class Appearance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the visitors' page of a room looks; `languages` hold what differs by language."""

    title: Title = ""
    text: Text = ""
    colours: Colours = Colours()
    languages: dict[Language, Words] = {}

    def words(self, language: str) -> Words:
        """Return title and text in a language: its own where it has them, else the common ones."""
        own = next((words for name, words in self.languages.items() if name == language), Words())
        return Words(title=own.title or self.title, text=own.text or self.text)


PLAIN: Final = Appearance()


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A room and everything that somebody may set; `version` grows with each change."""

    id: str
    name: str
    target_url: str  # where the admitted are sent
    status: RoomStatus = RoomStatus.ACTIVE
    capacity: int = CAPACITY_DEFAULT  # sessions and reserved places together
    line_max: int = LINE_DEFAULT  # how many may wait, 0: no limit
    rate_per_s: float = RATE_DEFAULT
    session_ms: int = SESSION_DEFAULT_S * 1000
    session_renewal: bool = False  # activity extends a session, up to its cap
    session_cap_ms: int = SESSION_CAP_DEFAULT_S * 1000
    heartbeat_interval_ms: int = HEARTBEAT_INTERVAL_DEFAULT_S * 1000
    heartbeat_timeout_ms: int = HEARTBEAT_TIMEOUT_DEFAULT_S * 1000
    claim_ms: int = CLAIM_DEFAULT_S * 1000  # how long a place inside is kept for who was admitted
    public_priority_max: int = PRIORITY_MAX  # what visitors may claim for themselves
    invite_only: bool = False  # nobody joins without a code
    identify_by_ip: bool = False
    fail_mode: FailMode = FailMode.CLOSED
    fail_open_until_ms: int | None = None
    algorithm: Algorithm = Algorithm.RS256
    opens_at_ms: int | None = None  # nobody is admitted before it
    draw: bool = False  # who came before the opening is drawn by lot
    appearance: Appearance = PLAIN
    secret: bytes = field(default=b"", repr=False)  # ids and tokens of places are derived from it
    created_at_ms: int = 0
    updated_at_ms: int = 0
    version: int = 1

    @property
    def generation(self) -> tuple[int, int]:
        """Return what grows with each change, also if the room is deleted and made again."""
        return self.created_at_ms, self.version


class RoomNotFoundError(NotFoundError):
    """Nobody made a room of this id."""

    code = "room_not_found"

    def __init__(self, room_id: str) -> None:
        super().__init__(room_id)
        self.room_id = room_id

    def __str__(self) -> str:
        return f"queue {self.room_id} does not exist"


class RoomExistsError(ConflictError):
    """A room of this id was made before."""

    code = "room_exists"

    def __init__(self, room_id: str) -> None:
        super().__init__(room_id)
        self.room_id = room_id

    def __str__(self) -> str:
        return f"queue {self.room_id} exists already"


class TooManyRoomsError(LimitError):
    """There are as many rooms as there may be."""

    code = "too_many_rooms"

    def __init__(self, rooms_max: int) -> None:
        super().__init__("rooms_max", rooms_max)
        self.args = (rooms_max,)  # so that the error can be pickled


def check(room: Room) -> None:
    """Raise InvalidError if settings that are well-formed one by one do not go together.

    The fields are called as in Room; an edge puts its own names in their place.
    """
    faults = {
        "name": fault_of_name(room.name),
        "target_url": fault_of_url(room.target_url),
        "heartbeat_interval_ms": _fault_of_heartbeats(room),
        "session_cap_ms": _fault_of_cap(room),
        "fail_open_until_ms": _fault_of_fail_mode(room),
        "draw": "Expected opens_at too" if room.draw and room.opens_at_ms is None else None,
    }
    found = {name: fault for name, fault in faults.items() if fault is not None}
    if found:
        raise InvalidError(found)


def fault_of_name(name: str) -> str | None:
    """Say why this cannot be the name of a room; None: it can."""
    if not name.strip():
        return "Expected a name"
    return "Expected no control characters" if _CONTROL.search(name) else None


def fault_of_url(url: str) -> str | None:
    """Say why the admitted cannot be sent to an address; None: they can.

    It is a whole http or https address without a user or password, so that no page can be made to
    run a script or to send people where the address does not seem to lead.
    """
    if not _URL.fullmatch(url) or "\\" in url:
        return "Expected an address without spaces, in ASCII"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port  # a port that is none raises
    except ValueError:
        return "Expected an address"
    if parts.scheme not in {"http", "https"}:
        return "Expected http:// or https://"
    if "@" in parts.netloc:
        return "Expected no user or password"
    if not host or not _HOST.fullmatch(host):
        return "Expected a host"
    return None


def line_of(room: Room) -> LineConfig:
    """Return what scripts must know of a room."""
    return LineConfig(
        status=room.status,
        rate_per_s=room.rate_per_s,
        capacity=room.capacity,
        line_max=room.line_max,
        claim_ms=room.claim_ms,
        heartbeat_timeout_ms=room.heartbeat_timeout_ms,
        opens_at_ms=room.opens_at_ms or 0,
        draw=room.draw,
        created_at_ms=room.created_at_ms,
    )


def _fault_of_heartbeats(room: Room) -> str | None:
    if room.heartbeat_interval_ms < room.heartbeat_timeout_ms:
        return None
    return f"Expected less than heartbeat_timeout_seconds, {room.heartbeat_timeout_ms // 1000}"


def _fault_of_cap(room: Room) -> str | None:
    if not room.session_renewal or room.session_cap_ms >= room.session_ms:
        return None
    return f"Expected at least session_timeout_seconds, {room.session_ms // 1000}"


def _fault_of_fail_mode(room: Room) -> str | None:
    if room.fail_mode is FailMode.OPEN and room.fail_open_until_ms is None:
        return "Required with fail_mode open"
    return None
