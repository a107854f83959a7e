"""Checks of what lies between this machine and others: TLS, proxies, passwords on the way."""

from collections.abc import Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from api.doctor.findings import Finding, ok, warn
from models.settings import Settings, host_of, is_loopback

_ENCRYPTED: Final = frozenset({"rediss", "amqps"})
_SSL_MODES: Final = frozenset({"require", "verify-ca", "verify-full"})


def check_proxy(settings: Settings, _environ: Mapping[str, str]) -> Iterator[Finding]:
    """See whether who comes from elsewhere comes through TLS, and stores are reached by it."""
    public = [a for a in (*settings.bind, settings.relay_bind) if not is_loopback(host_of(a))]
    if public:
        told = f"{', '.join(public)} can be reached without TLS"
        advice = "bind to loopback, and let a proxy with TLS stand before it (docs/operations.md)"
        yield warn("proxy", told, advice)
    elif not settings.trusted_proxies:
        told = "no proxy's word is believed, so all who come through one are one address to limits"
        yield warn("proxy", told, "name it in STANCHION_TRUSTED_PROXIES")
    else:
        yield ok("proxy", f"{', '.join(settings.trusted_proxies)} are believed")
    for name in ("database_url", "redis_url", "broker_url"):
        url = getattr(settings, name)
        if url and _is_plain(url):
            told = f"STANCHION_{name.upper()} leads over a network in the clear"
            yield warn("proxy", told, "use TLS (sslmode=verify-full, rediss://, amqps://)")


def _is_plain(url: str) -> bool:
    """Say whether an address leads to another machine without encryption."""
    parts = urlsplit(url)
    if not parts.hostname or is_loopback(parts.hostname):
        return False
    if parts.scheme.startswith("postgresql"):
        return not _SSL_MODES & set(parse_qs(parts.query).get("sslmode", ()))
    return parts.scheme not in _ENCRYPTED
