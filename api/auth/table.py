"""Who may do what: two tables, which the code runs and `docs/security.md` shows.

A path of a row stands for itself and everything below it, whether or not something answers there;
`*` is any one segment. The longest path that fits decides, and of two rows for it the one that
names the method. A path that no row covers belongs to nobody: where something answers there, it is
refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.http.paths import PathTable
from models.people.rules import Role, Scope

_ALL_ROLES: Final = tuple(Role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Who:
    """Who may: any one of these is enough."""

    everybody: bool = False
    roles: tuple[Role, ...] = ()  # by the cookie of a session, or by a bearer token
    scopes: tuple[Scope, ...] = ()  # of the key in X-API-KEY; SECRET_KEY has the scope messages
    admin_key: bool = False  # X-Admin-Key: ADMIN_KEY, or a key of scope admin
    this_machine: bool = False  # loopback
    visitors: bool = False  # by the token of a place, which the room checks; for sockets only
    # While there is no key at all, a server that listens on loopback only is this machine's.
    open_without_keys: bool = False

    def __str__(self) -> str:
        parts = ["everybody"] if self.everybody else []
        if self.roles == _ALL_ROLES:
            parts.append("every user")
        elif self.roles:
            parts.append("users: " + ", ".join(self.roles))
        if self.scopes:
            parts.append("`X-API-KEY`: " + ", ".join(self.scopes))
        if self.admin_key:
            parts.append("`X-Admin-Key`")
        if self.visitors:
            parts.append("visitors by the token of their place")
        if self.this_machine:
            parts.append("this machine")
        if self.open_without_keys:
            only = "only " if self.everybody else ""
            parts.append(f"{only}this machine while there is no key")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table; no methods means all that no other row of the path names."""

    paths: tuple[str, ...]
    methods: tuple[str, ...] = ()
    who: Who
    # What a user does there is put into the audit log, under the name `action`: by the guard's side
    # after it is done, or by the service within its own transaction, whoever calls, keys too.
    is_audited: bool = False
    is_noted_within: bool = False
    action: str = "messages_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class SocketRow:
    """One line of the table of sockets: where clients stay connected, and who may."""

    domain: str
    namespace: str | None = None  # of Socket.IO
    path: str | None = None  # of raw WebSockets; `{name}` is any one segment
    who: Who


_READ: Final = ("GET", "HEAD")
_EVERYBODY: Final = Who(everybody=True)
_EVERY_USER: Final = Who(roles=_ALL_ROLES)
_CONSUMERS: Final = Who(
    scopes=(Scope.MESSAGES,), roles=(Role.ADMIN, Role.OPERATOR), open_without_keys=True
)
# On a socket nobody notes what each frame does, so no user gets there.
_PROGRAMS: Final = Who(scopes=(Scope.MESSAGES,), open_without_keys=True)
_WATCHERS: Final = Who(
    scopes=(Scope.MESSAGES,),
    roles=(Role.ADMIN, Role.OPERATOR, Role.SUPERVISOR, Role.VIEWER),
    open_without_keys=True,
)
# What is gone does not come back, and what changes many is a person's business or a program's.
_KEEPERS: Final = Who(scopes=(Scope.MESSAGES,), roles=(Role.ADMIN,), open_without_keys=True)
_ADMINS: Final = Who(roles=(Role.ADMIN,), admin_key=True)
_MAIL_READ: Final = Who(roles=(Role.ADMIN, Role.OPERATOR, Role.VIEWER))
_COUNTERS: Final = Who(roles=(Role.ADMIN, Role.SUPERVISOR, Role.OFFICER), scopes=(Scope.TICKETS,))
_HALL: Final = Who(roles=(Role.ADMIN, Role.SUPERVISOR), scopes=(Scope.TICKETS,))


def _tickets(path: str) -> tuple[str, ...]:
    """Return a path in all the ways in which the contract of tickets writes its paths."""
    return tuple(prefix + path for prefix in ("/app", "", "/api", "/app/api"))


TABLE: Final[tuple[Row, ...]] = (
    # Pages hold no data; what they show they ask for, under the rules below.
    Row(
        paths=("/", "/login", "/static", "/kiosk", "/display", "/officer", "/ticket", "/wait"),
        methods=_READ,
        who=_EVERYBODY,
    ),
    # Whoever comes may take a place.
    Row(paths=("/wait",), methods=("POST",), who=_EVERYBODY),
    Row(
        paths=("/ops", "/api/doc", "/api/reference", "/.well-known"), methods=_READ, who=_EVERYBODY
    ),
    Row(
        paths=("/health", "/api/v1/health", *_tickets("/health/queue-system")),
        methods=_READ,
        who=_EVERYBODY,
    ),
    Row(paths=("/api/ops/now",), methods=_READ, who=_EVERYBODY),
    Row(paths=("/api/ops",), methods=_READ, who=Who(roles=_WATCHERS.roles)),
    Row(paths=("/metrics",), who=Who(scopes=(Scope.MESSAGES, Scope.ADMIN), this_machine=True)),
    # Messages
    Row(
        paths=("/api/queue",),
        who=_CONSUMERS,
        is_audited=True,
    ),
    Row(
        paths=("/api/queue/metrics", "/api/queue/status"),
        methods=_READ,
        who=_WATCHERS,
    ),
    Row(paths=("/api/queue/queues",), methods=_READ, who=_WATCHERS),
    Row(
        paths=(
            *("/api/queue/activity", "/api/queue/message/*/activity"),
            *("/api/queue/consumers", "/api/queue/anomalies"),
        ),
        methods=_READ,
        who=_WATCHERS,
    ),
    Row(
        paths=("/api/queue/queues",),
        methods=("PUT", "PATCH"),
        who=_CONSUMERS,
        is_audited=True,
        action="queue_changed",
    ),
    Row(
        paths=("/api/queue/queues/*/purge",),
        methods=("POST",),
        who=_CONSUMERS,
        is_audited=True,
        action="queue_purged",
    ),
    # What is in a queue goes with it.
    Row(
        paths=("/api/queue/queues",),
        methods=("DELETE",),
        who=_KEEPERS,
        is_audited=True,
        action="queue_deleted",
    ),
    # `dead` has lines of its own, and a name goes before `*`: its list has to be named.
    Row(
        paths=("/api/queue/*/messages", "/api/queue/dead/messages", "/api/queue/message/*"),
        methods=_READ,
        who=_WATCHERS,
    ),
    Row(
        paths=("/api/queue/message/*",),
        methods=("PUT",),
        who=_CONSUMERS,
        is_noted_within=True,
        action="message_edited",
    ),
    Row(
        paths=("/api/queue/message/*/touch",),
        methods=("PUT",),
        who=_CONSUMERS,
        is_audited=True,
    ),
    Row(
        paths=("/api/queue/message/*",),
        methods=("DELETE",),
        who=_KEEPERS,
        is_noted_within=True,
        action="message_deleted",
    ),
    Row(paths=("/api/queue/schedules",), methods=_READ, who=_WATCHERS),
    Row(
        paths=("/api/queue/schedules",),
        methods=("POST", "PUT", "PATCH"),
        who=_CONSUMERS,
        is_audited=True,
        action="schedule_changed",
    ),
    Row(
        paths=("/api/queue/schedules/*/run",),
        methods=("POST",),
        who=_CONSUMERS,
        is_audited=True,
        action="schedule_run",
    ),
    Row(
        paths=("/api/queue/schedules",),
        methods=("DELETE",),
        who=_KEEPERS,
        is_audited=True,
        action="schedule_deleted",
    ),
    # A webhook sends messages elsewhere, from within: who may take them may not make one.
    Row(paths=("/api/queue/webhooks",), who=_ADMINS),
    Row(
        paths=("/api/queue/webhooks",),
        methods=_READ,
        who=Who(roles=(Role.ADMIN, Role.OPERATOR), admin_key=True),
    ),
    *(
        Row(paths=(path,), methods=("POST",), who=_KEEPERS, is_noted_within=True, action=action)
        for path, action in (
            ("/api/queue/move", "messages_moved"),
            ("/api/queue/messages/delete", "messages_deleted"),
            ("/api/queue/dead/redrive", "messages_redriven"),
        )
    ),
    # The contract leaves these open; who shows no key gets no words of consumers.
    Row(
        paths=("/api/queue/events",),
        methods=_READ,
        who=Who(everybody=True, open_without_keys=True),
    ),
    # People
    Row(paths=("/api/v1/auth", *_tickets("/auths")), who=_EVERY_USER),
    Row(paths=("/api/v1/auth/login", *_tickets("/auths/login")), methods=("POST",), who=_EVERYBODY),
    Row(
        paths=("/api/v1/auth/users", "/api/v1/auth/keys", "/api/v1/auth/audit"),
        who=_ADMINS,
    ),
    # Rooms: a visitor shows the token of the place or session, which the room checks.
    Row(paths=("/api/v1/queues", "/api/v1/sessions"), who=_EVERYBODY),
    Row(
        paths=("/api/v1/admin",),
        who=Who(roles=(Role.ADMIN,), scopes=(Scope.ROOMS,), admin_key=True),
    ),
    # Mail: to look, to act, and what cannot be taken back.
    Row(
        paths=(
            *("/api/v1/queue", "/api/v1/messages", "/api/v1/logs"),
            *("/api/v1/reports", "/api/v1/dashboard", "/api/v1/tags"),
            "/api/v1/delivery-attempts",
        ),
        who=Who(roles=(Role.ADMIN,)),
    ),
    Row(
        paths=(
            *("/api/v1/queue", "/api/v1/messages", "/api/v1/logs"),
            *("/api/v1/reports", "/api/v1/dashboard", "/api/v1/tags"),
            "/api/v1/delivery-attempts",
        ),
        methods=_READ,
        who=_MAIL_READ,
    ),
    Row(
        paths=("/api/v1/queue",),
        methods=("POST",),
        who=Who(roles=(Role.ADMIN, Role.OPERATOR)),
    ),
    # What makes somebody a recipient or takes somebody off cannot be taken back either.
    Row(
        paths=(
            *("/api/v1/queue/actions/bounce", "/api/v1/queue/*/bounce"),
            *("/api/v1/queue/*/recipients", "/api/v1/queue/*/sender"),
        ),
        who=Who(roles=(Role.ADMIN,)),
    ),
    Row(paths=("/api/v1/queue/search", "/api/v1/logs/search"), methods=("POST",), who=_MAIL_READ),
    # Letters are between others: who only looks after the queue reads none.
    Row(paths=("/api/v1/messages/*/content",), methods=_READ, who=Who(roles=(Role.ADMIN,))),
    Row(
        paths=("/api/v1/messages/*/notes", "/api/v1/messages/*/tags"),
        methods=("POST", "PUT", "DELETE"),
        who=Who(roles=(Role.ADMIN, Role.OPERATOR)),
        is_audited=True,
        action="mail_noted",
    ),
    # Tickets: displays look and kiosks hand out without logging in, as the contract shows.
    Row(paths=_tickets("/tickets"), methods=(*_READ, "POST"), who=_EVERYBODY),
    Row(paths=_tickets("/tickets"), who=_COUNTERS),
    Row(paths=_tickets("/tickets/*/*"), who=_COUNTERS),
    # Who holds the paper knows what nobody can guess.
    Row(paths=(*_tickets("/tickets/*/feedback"), *_tickets("/tickets/*/print")), who=_EVERYBODY),
    # What is said of a call or an announcement is heard by the whole hall.
    Row(
        paths=(
            *_tickets("/tickets/*/voice"),
            *_tickets("/tickets/*/voice.wav"),
            *_tickets("/announcements/*/voice.wav"),
        ),
        methods=_READ,
        who=_EVERYBODY,
    ),
    Row(paths=_tickets("/voice/clips"), who=_HALL),
    Row(paths=_tickets("/voice/clips/*/*/*"), methods=_READ, who=_EVERYBODY),
    Row(paths=_tickets("/voice/clips/*/*/*"), who=_HALL),
    Row(paths=_tickets("/counters"), methods=_READ, who=_EVERYBODY),
    Row(paths=_tickets("/counters"), who=_HALL),
    Row(paths=_tickets("/counters/*/*"), who=_COUNTERS),
    Row(paths=_tickets("/procedures"), methods=_READ, who=_EVERYBODY),
    Row(paths=_tickets("/procedures"), who=_HALL),
    Row(paths=_tickets("/branches"), methods=_READ, who=_EVERYBODY),
    Row(paths=_tickets("/branches"), who=_HALL),
    Row(paths=_tickets("/announcements"), who=_HALL),
    Row(paths=_tickets("/reports"), who=_HALL),
    Row(paths=_tickets("/reports/unprinted"), who=_COUNTERS),
    # Live connections say who they are when they open, and SOCKETS says who may.
    Row(paths=("/socket.io", "/ws", "/api/v1/ws"), who=_EVERYBODY),
)

MESSAGES_SOCKET: Final = SocketRow(
    domain="messages", namespace="/messages", path="/ws/messages", who=_WATCHERS
)
MESSAGES_STREAM: Final = SocketRow(domain="messages", path="/api/queue/stream", who=_PROGRAMS)
# The original's client has one address for everything that it hears.
MAIL_SOCKET: Final = SocketRow(domain="mail", path="/ws", who=_MAIL_READ)
MAIL_CHANNEL: Final = SocketRow(domain="mail", namespace="/mail", who=_MAIL_READ)
# Displays and kiosks show nothing; what is told there hangs on the wall of the hall.
TICKETS_SOCKET: Final = SocketRow(domain="tickets", namespace="/ws/queue", who=_EVERYBODY)
ROOMS_SOCKET: Final = SocketRow(
    domain="rooms",
    namespace="/rooms",
    who=Who(roles=(Role.ADMIN,), scopes=(Scope.ROOMS, Scope.ADMIN), visitors=True),
)
OPS_SOCKET: Final = SocketRow(domain="ops", namespace="/ops", who=Who(roles=_WATCHERS.roles))
_VISITORS: Final = Who(visitors=True)
# The contract names the address by itself, and everything of it below /api/v1.
ROOMS_VISITORS: Final = SocketRow(domain="rooms", path="/ws/queues/{queue_id}", who=_VISITORS)
ROOMS_VISITORS_V1: Final = SocketRow(
    domain="rooms", path="/api/v1/ws/queues/{queue_id}", who=_VISITORS
)
# Each is what a channel or talker of api/live is made with: there is none without a line.
SOCKETS: Final[tuple[SocketRow, ...]] = (
    MESSAGES_SOCKET,
    MESSAGES_STREAM,
    MAIL_SOCKET,
    MAIL_CHANNEL,
    TICKETS_SOCKET,
    ROOMS_SOCKET,
    ROOMS_VISITORS,
    ROOMS_VISITORS_V1,
    OPS_SOCKET,
)


def who_may(table: Sequence[Row] = TABLE) -> PathTable[Row]:
    """Return the table, laid out for looking up."""
    laid_out = PathTable[Row]()
    for row in table:
        for path in row.paths:
            laid_out.add(path, row.methods, row)
    return laid_out
