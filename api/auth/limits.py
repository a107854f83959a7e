"""How often somebody may ask: limits by path, with names, told in X-RateLimit headers.

A line of `TABLE` and a setting make a limit. They are looked at before the guard, so every answer
of the path says where its caller stands, also a refusal.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from falcon.asgi import Request, Response

from api.auth.callers import Callers, bearer_of
from api.auth.keys import KeyCache
from api.http.paths import PathTable
from models.addresses import subscriber_of
from models.errors import LimitError, UnauthenticatedError
from models.limits.counts import Count, Limit
from models.limits.limiter import Limiter
from models.people.digests import digest_of
from models.people.rules import Scope
from models.settings import Settings


class RateLimitedError(LimitError):
    """The caller asked too often; it may ask again when the window ends."""

    code = "rate_limited"

    def __str__(self) -> str:
        return f"Rate limit exceeded: {self.limit_max} {self.limit} a minute"


class By(StrEnum):
    """For whom a limit counts; who shows no such thing counts by address."""

    ADDRESS = "address"  # IPv6 by /64
    TOKEN = "token"  # noqa: S105  # a kind; of each token, in the process that it asks
    KEY = "key"  # X-API-KEY or X-Admin-Key
    USER = "user"  # of the session or bearer token


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One limit: its name, its setting, and the paths that count together."""

    name: str
    setting: str | None  # None: not counted, whatever a shorter path says
    paths: tuple[str, ...]
    methods: tuple[str, ...] = ()  # none: all
    by: By = By.ADDRESS
    exempt: tuple[Scope, ...] = ()  # who shows a key of this scope is not counted


def _tickets(path: str) -> tuple[str, ...]:
    """Return a path in all the ways in which the contract of tickets writes its paths."""
    return tuple(prefix + path for prefix in ("/app", "", "/api", "/app/api"))


# The machines of a hall, which is one address.
_HALL: Final = (Scope.TICKETS, Scope.KIOSK)

TABLE: Final[tuple[Row, ...]] = (
    Row(
        name="logins",
        setting="logins_per_minute_max",
        paths=(
            *("/api/v1/auth/login", "/api/v1/auth/password"),
            *("/auths/login", "/app/auths/login", "/api/auths/login", "/app/api/auths/login"),
        ),
        methods=("POST",),
    ),
    # A kiosk with a key of its own counts for itself: one hall is one address.
    Row(
        name="tickets",
        setting="tickets_per_minute_max",
        paths=_tickets("/tickets"),
        methods=("POST",),
        exempt=_HALL,
    ),
    Row(
        name="ticket_changes",
        setting="ticket_changes_per_minute_max",
        paths=_tickets("/tickets/*"),
        methods=("PATCH",),
        by=By.USER,
    ),
    # Or an officer's calls would count with the papers that the hall's kiosks hand out.
    Row(
        name="ticket_acts",
        setting="ticket_changes_per_minute_max",
        paths=_tickets("/tickets/*"),
        methods=("POST",),
        by=By.USER,
    ),
    Row(
        name="waiting_lists",
        setting="waiting_lists_per_minute_max",
        paths=_tickets("/tickets/waiting"),
        methods=("GET", "HEAD"),
        exempt=_HALL,
    ),
    # Several displays of a hall ask for each call, twice in each language.
    Row(
        name="voices",
        setting="voices_per_minute_max",
        paths=(
            *_tickets("/tickets/*/voice"),
            *_tickets("/tickets/*/voice.wav"),
            *_tickets("/announcements/*/voice.wav"),
            *_tickets("/voice/clips/*/*/*"),
        ),
        methods=("GET", "HEAD"),
        exempt=(Scope.TICKETS,),
    ),
    # Rooms: the contract's table, and one limit for what it leaves out.
    Row(
        name="joins",
        setting="joins_per_minute_max",
        paths=("/api/v1/queues/*/enqueue", "/wait/*"),
        methods=("POST",),
    ),
    # A proxy asks for every visitor, and who leaves is not kept from it.
    Row(name="none", setting=None, paths=("/api/v1/sessions/verify", "/wait/*/leave")),
    Row(
        name="looks",
        setting="looks_per_minute_max",
        paths=("/api/v1/queues/*/status",),
        methods=("GET", "HEAD"),
        by=By.TOKEN,
    ),
    Row(
        name="heartbeats",
        setting="heartbeats_per_minute_max",
        paths=("/api/v1/queues/*/heartbeat",),
        methods=("POST",),
        by=By.TOKEN,
    ),
    Row(
        name="session_acts",
        setting="session_acts_per_minute_max",
        paths=("/api/v1/sessions/*/activity",),
        methods=("POST",),
        by=By.TOKEN,
    ),
    Row(
        name="visitor_requests",
        setting="visitor_requests_per_minute_max",
        paths=("/api/v1/queues", "/api/v1/sessions"),
        by=By.TOKEN,
    ),
    Row(
        name="room_admin",
        setting="room_admin_per_minute_max",
        paths=("/api/v1/admin",),
        by=By.KEY,
    ),
)


class Limits:
    """Counts the requests of limited paths, and refuses those beyond; Falcon middleware."""

    def __init__(
        self,
        settings: Settings,
        limiter: Limiter,
        callers: Callers,
        keys: KeyCache,
        *,
        now_ms: Callable[[], int],
        table: Sequence[Row] = TABLE,
    ) -> None:
        self._limiter: Final = limiter
        self._callers: Final = callers
        self._keys: Final = keys
        self._now_ms: Final = now_ms
        self._table: Final = PathTable[tuple[Row, Limit | None]]()
        for row in table:
            limit = None
            if row.setting is not None:
                limit = Limit(name=row.name, requests_max=getattr(settings, row.setting))
            for path in row.paths:
                self._table.add(path, row.methods, (row, limit))

    async def process_request(self, req: Request, resp: Response) -> None:
        """Count the request and tell where its caller stands; raises RateLimitedError."""
        found = self._table.find(req.path, req.method)
        if found is None:
            return
        row, limit = found
        if limit is None:
            return
        if row.exempt and await self._is_exempt(req, row):
            return
        count = await self._count(req, row, limit)
        resp.set_header("X-RateLimit-Limit", str(limit.requests_max))
        resp.set_header("X-RateLimit-Remaining", str(count.left))
        resp.set_header("X-RateLimit-Reset", str(count.ends_at_ms // 1000))
        if not count.is_allowed:
            wait_s = max(1, -(-(count.ends_at_ms - self._now_ms()) // 1000))
            raise RateLimitedError(limit.name, limit.requests_max, wait_s)

    async def _count(self, req: Request, row: Row, limit: Limit) -> Count:
        if row.by is By.TOKEN and (token := bearer_of(req)) is not None:
            # It stays in this process, whose own hash says as much as a digest and costs less.
            return self._limiter.count_here(limit, hash(token))
        subject = None
        if row.by is By.KEY:
            shown = req.get_header("X-Admin-Key") or req.get_header("X-API-KEY")
            subject = None if shown is None else f"key:{digest_of(shown)}"
        elif row.by is By.USER:
            subject = await self._user(req)
        if subject is None:
            subject = f"address:{subscriber_of(self._callers.proxies.client_address(req))}"
        return await self._limiter.count(limit, subject)

    async def _user(self, req: Request) -> str | None:
        try:
            caller = await self._callers.user_of(req)
        except UnauthenticatedError:
            return None  # the guard will say so
        return None if caller is None or caller.user is None else f"user:{caller.user.id}"

    async def _is_exempt(self, req: Request, row: Row) -> bool:
        shown = req.get_header("X-API-KEY")
        key = None if shown is None else await self._keys.find(shown)
        return key is not None and key.scope in row.exempt
