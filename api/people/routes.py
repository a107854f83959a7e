"""Where people's resources answer."""

from collections.abc import Callable
from typing import Any, Final

from falcon.asgi import App

from api.auth.access import Access
from api.people import administration, audit, sessions, tokens

# The contract of tickets writes its paths in all of these ways.
_PREFIXES: Final = ("/app", "", "/api", "/app/api")


def add_routes(
    app: App[Any, Any],
    access: Access,
    *,
    token_s: int,
    body_bytes_max: int,
    now_ms: Callable[[], int],
) -> list[tuple[str, object]]:
    """Serve log-ins and all about them; returns the routes for the reference."""
    routes: list[tuple[str, object]] = [
        (path, make(access, body_bytes_max=body_bytes_max, now_ms=now_ms))
        for path, make in (
            ("/api/v1/auth/login", sessions.LoginResource),
            ("/api/v1/auth/logout", sessions.LogoutResource),
            ("/api/v1/auth/me", sessions.MeResource),
            ("/api/v1/auth/password", sessions.PasswordResource),
            ("/api/v1/auth/users", administration.UsersResource),
            ("/api/v1/auth/users/{username}", administration.UserResource),
            ("/api/v1/auth/keys", administration.KeysResource),
            ("/api/v1/auth/keys/{name}", administration.KeyResource),
            ("/api/v1/auth/audit", audit.AuditResource),
        )
    ]
    login = tokens.TokenResource(
        access.people,
        access.issuer,
        access.proxies,
        token_s=token_s,
        body_bytes_max=body_bytes_max,
        now_ms=now_ms,
    )
    me = tokens.MeResource()
    for path, resource in routes:
        app.add_route(path, resource)
    for prefix in _PREFIXES:
        app.add_route(f"{prefix}/auths/login", login)
        app.add_route(f"{prefix}/auths/me", me)
    app.add_route("/.well-known/jwks.json", tokens.JwksResource(access.issuer))
    return [*routes, ("/app/auths/login", login), ("/app/auths/me", me)]
