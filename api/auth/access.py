"""Everything of one process that knows people and keys, put together from settings and stores."""

from collections.abc import Callable
from dataclasses import dataclass

from falcon.asgi import Request
from redis.asyncio import Redis

from api.auth.callers import Callers
from api.auth.guard import Guard
from api.auth.keys import KeyCache
from api.auth.limits import Limits
from api.auth.origins import Origins
from api.http.caller import Proxies
from models.database import Database
from models.errors import UnauthenticatedError
from models.limits.limiter import Limiter
from models.people.rules import LoginPolicy
from models.people.service import PeopleService
from models.secrets import Secrets
from models.settings import Settings, host_of, is_loopback
from models.tokens.issuer import Issuer


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who may, and who is who."""

    people: PeopleService
    issuer: Issuer
    keys: KeyCache
    proxies: Proxies
    origins: Origins
    callers: Callers
    limits: Limits
    guard: Guard

    async def name_of(self, req: Request) -> str | None:
        """Return the name of whoever is logged in, for a page that everybody may see."""
        try:
            caller = await self.callers.user_of(req)
        except UnauthenticatedError:
            return None
        return None if caller is None or caller.user is None else caller.user.username


def make_access(
    settings: Settings,
    secrets: Secrets,
    database: Database,
    client: Redis,
    *,
    now_ms: Callable[[], int],
) -> Access:
    """Build it; opens nothing."""
    people = PeopleService(
        database, policy=login_policy(settings), first_password=lambda: secrets.admin_password
    )
    issuer = Issuer(database, clock=now_ms)
    proxies = Proxies(settings.trusted_proxies)
    callers = Callers(people, issuer, proxies, clock=now_ms)
    keys = KeyCache(people.keys, secret_key=settings.secret_key, admin_key=secrets.admin_key)
    origins = Origins(proxies, bind=settings.bind, listed=settings.cors_origins)
    limiter = Limiter(client, clock=now_ms, subjects_max=settings.limit_subjects_max)
    reachable = (*settings.bind, settings.relay_bind)
    is_public = not all(is_loopback(host_of(address)) for address in reachable)
    guard = Guard(callers, keys, origins, is_public=is_public)
    return Access(
        people=people,
        issuer=issuer,
        keys=keys,
        proxies=proxies,
        origins=origins,
        callers=callers,
        limits=Limits(settings, limiter, callers, keys, now_ms=now_ms),
        guard=guard,
    )


def login_policy(settings: Settings) -> LoginPolicy:
    """Return what the operator set about log-ins."""
    return LoginPolicy(
        user_failures_max=settings.login_failures_max,
        address_failures_max=settings.login_address_failures_max,
        lock_ms=settings.login_lock_s * 1000,
        lock_ms_max=settings.login_lock_max_s * 1000,
        session_ms=settings.session_s * 1000,
    )
