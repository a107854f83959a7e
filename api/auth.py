"""Who may call: the guard before every request, by the path it asks for.

The table is `docs/security.md`'s: paths of messages need X-API-KEY once a key exists; without one
the whole server listens on loopback only and refuses what a web page in a browser could send.
"""

import hmac
from collections.abc import Sequence
from typing import Final

from falcon.asgi import Request, Response

from api.caller import client_address, is_loopback_address
from models.errors import ForbiddenError, InvalidError, UnauthenticatedError
from models.settings import Settings, SettingsError, host_of, is_loopback

_MESSAGES: Final = "/api/queue"
# The contract leaves these open; who shows no key gets no words of consumers.
_OPEN: Final = frozenset({"/api/queue/events"})
_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})


class InvalidKeyError(UnauthenticatedError):
    """The API key is missing or wrong."""

    code = "invalid_key"

    def __str__(self) -> str:
        return "Invalid or missing API key"


class ForeignHostError(ForbiddenError):
    """Without a key only this machine's own names are served, against rebinding of names."""

    code = "foreign_host"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return f"host {self.host!r} is served only when STANCHION_SECRET_KEY is set"


class ForeignOriginError(ForbiddenError):
    """Without a key a page of another site may not use the browser's way to loopback."""

    code = "foreign_origin"

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        self.origin = origin

    def __str__(self) -> str:
        return f"origin {self.origin!r} is not listed in STANCHION_CORS_ORIGINS"


class LocalOnlyError(ForbiddenError):
    """Only this machine may ask, or somebody with the key."""

    code = "local_only"

    def __str__(self) -> str:
        return "only this machine may ask without a key"


def check_exposure(settings: Settings) -> None:
    """Refuse to serve other machines without a key; raises SettingsError."""
    if settings.is_public and settings.secret_key is None:
        raise SettingsError(
            "STANCHION_BIND",
            f"{', '.join(settings.bind)} is reachable from other machines, so"
            " STANCHION_SECRET_KEY must be set",
        )


class Guard:
    """Lets requests through or raises; Falcon middleware."""

    def __init__(
        self,
        *,
        secret_key: str | None,
        bind: Sequence[str],
        trusted_proxies: Sequence[str],
        cors_origins: Sequence[str],
    ) -> None:
        self._key: Final = secret_key.encode() if secret_key is not None else None
        self._own_hosts: Final = frozenset(host_of(address) for address in bind)
        self._trusted_proxies: Final = trusted_proxies
        self._cors_origins: Final = frozenset(cors_origins)

    async def process_request(self, req: Request, _resp: Response) -> None:
        """Check the credentials of a path of messages."""
        path = req.path
        if path == _MESSAGES or path.startswith("/api/queue/"):
            self._check_messages(req)
        elif path == "/metrics":
            self._check_local(req)

    def shows_key(self, req: Request) -> bool:
        """Say whether a caller may see everything: it shows the key, or there is none."""
        if self._key is None:
            return True
        shown = req.get_header("X-API-KEY")
        return shown is not None and hmac.compare_digest(shown.encode(), self._key)

    def _check_messages(self, req: Request) -> None:
        if self._key is None:
            self._check_own_machine(req)
        elif req.path not in _OPEN and not self.shows_key(req):
            raise InvalidKeyError

    def _check_own_machine(self, req: Request) -> None:
        host = req.get_header("Host", default="").rpartition("]")
        name = (host[0] + host[1]).strip("[]") or host[2].partition(":")[0]
        if name not in self._own_hosts and not is_loopback(name):
            raise ForeignHostError(name)
        self._check_own_page(req)
        has_body = bool(req.content_length) or req.get_header("Transfer-Encoding") is not None
        if req.method not in _SAFE_METHODS and has_body and not _is_json(req.content_type):
            # A page of any site can send a form here; it cannot send JSON without being asked.
            raise InvalidError({"Content-Type": "Expected application/json"})

    def _check_own_page(self, req: Request) -> None:
        origin = req.get_header("Origin")
        if origin is None:
            # A plain GET of another site's page names no origin, but says where it comes from.
            site = req.get_header("Sec-Fetch-Site")
            if site in {"cross-site", "same-site"}:
                raise ForeignOriginError(site)
            return
        is_own = origin.partition("://")[2] == req.get_header("Host")
        if not is_own and origin not in self._cors_origins:
            raise ForeignOriginError(origin)

    def _check_local(self, req: Request) -> None:
        address = client_address(req, self._trusted_proxies)
        if is_loopback_address(address):
            return
        if self._key is None or not self.shows_key(req):
            raise LocalOnlyError


def _is_json(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() == "application/json"
