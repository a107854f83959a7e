"""The wire of the console's overview."""

from enum import StrEnum

from msgspec import Struct, field


class Component(StrEnum):
    """How a component is, where somebody has to know."""

    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class MessagesView(Struct, frozen=True, kw_only=True):
    """How many messages are in each state, and how long the oldest waits."""

    queued: int
    delayed: int
    processing: int
    acknowledged: int
    dead: int
    oldest_seconds: int | None
    oldest_queue: str | None = None  # in which that one waits


class RoomLine(Struct, frozen=True, kw_only=True):
    """A room; how many wait and are inside is null while nobody knows."""

    queue_id: str
    name: str
    status: str
    waiting: int | None
    inside: int | None
    capacity: int
    line_max: int
    admission_rate: float


class MailHostView(Struct, frozen=True, kw_only=True):
    """A mail host, and whether it was heard of just now."""

    name: str
    is_alive: bool
    messages: int


class MailView(Struct, frozen=True, kw_only=True):
    """What all mail hosts hold."""

    messages: int
    deferred: int
    frozen: int
    oldest_seconds: int | None
    trend: str
    hosts: list[MailHostView]
    too_many: dict[str, int]  # hosts with more messages than the operator's alarm allows


class TicketsView(Struct, frozen=True, kw_only=True):
    """All halls together."""

    waiting: int
    at_counters: int
    longest_seconds: int | None
    counters_open: int
    counters: int


class Notice(Struct, frozen=True, kw_only=True):
    """Something that needs a person; `about` and `count` are what its sentence speaks of.

    `id` is what the page of the way is asked to show, such as the room.
    """

    kind: str
    level: str  # fault, warning
    way: str  # the page where it is dealt with
    about: str = ""
    count: int = 0
    id: str = ""


class OverviewView(Struct, frozen=True, kw_only=True):
    """All queues as of a moment; a domain is null while it cannot be seen."""

    at: str
    components: dict[str, str]
    attention: list[Notice]
    messages: MessagesView | None
    rooms: list[RoomLine] | None
    rooms_oldest_seconds: int | None
    mail: MailView | None
    tickets: TicketsView | None


class MinuteView(Struct, frozen=True, kw_only=True):
    """A minute of a domain; what is null is not known."""

    at: str
    depth: int | None = None
    oldest_seconds: int | None = None
    arrived: int | None = field(name="in", default=None)
    done: int | None = field(name="out", default=None)
    failed: int | None = None


class HourView(Struct, frozen=True, kw_only=True):
    """The last sixty minutes of each domain, the oldest first; the last one is under way."""

    at: str
    domains: dict[str, list[MinuteView]]


class NowMessages(Struct, frozen=True, kw_only=True):
    """All queues of messages together."""

    waiting: int
    working: int
    dead: int


class NowRooms(Struct, frozen=True, kw_only=True):
    """All waiting rooms together, and how many of them let visitors in."""

    waiting: int
    inside: int
    open: int
    all: int


class NowMail(Struct, frozen=True, kw_only=True):
    """All mail hosts together."""

    waiting: int
    hosts: int


class NowTickets(Struct, frozen=True, kw_only=True):
    """All halls together, and how many counters serve."""

    waiting: int
    open: int


class NowView(Struct, frozen=True, kw_only=True):
    """A few numbers of each kind of queue; null is what cannot be seen, or not by the caller."""

    at: str
    messages: NowMessages | None = None
    rooms: NowRooms | None = None
    mail: NowMail | None = None
    tickets: NowTickets | None = None
