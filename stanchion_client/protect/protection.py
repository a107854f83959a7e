"""How a site stands behind a waiting room, as its owner sets it."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """What the middleware needs to know; only the first two have no default.

    Paths stand for themselves and everything below them. Spans are seconds.
    """

    server_url: str  # how the site reaches Stanchion
    room_id: str
    public_url: str | None = None  # how visitors reach it, when they do it in another way
    excluded: Sequence[str] = ()  # paths that need no session, such as static files
    programs: Sequence[str] = ("/api",)  # paths that answer 401 and never lead to the room
    # While no key can be had: let everybody in, or nobody. With keys, sessions are good either way.
    lets_in_when_away: bool = False
    parameter: str = "stanchion_session"  # as STANCHION_SESSION_PARAMETER says
    cookie: str = "stanchion_session"
    # Behind a proxy that ends TLS a site may not know that its visitors use it.
    is_cookie_secure: bool | None = None  # None: as the request came
    keys_fresh_s: float = 300.0
    told_every_s: float = 30.0  # how often a session's activity is told; 0: never
    timeout_s: float = 2.0

    @property
    def wait_url(self) -> str:
        """Return the address of the room's page."""
        return f"{(self.public_url or self.server_url).rstrip('/')}/wait/{self.room_id}"
