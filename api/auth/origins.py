"""Which pages and names may use the browser's way to us."""

import functools
from collections.abc import Sequence
from typing import Final

from falcon.asgi import Request

from api.auth.errors import ForeignHostError, ForeignOriginError
from api.http.caller import Proxies
from models.errors import InvalidError
from models.settings import host_of, is_loopback

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
# Clients say the same in every request; strangers may say what they like.
_SPELLINGS_MAX: Final = 128
# What no form can send, and no script of another site without asking first.
_NO_FORMS: Final = ("application/json", "application/x-ndjson", "text/csv")


class Origins:
    """Tells our own pages, and those the operator lists, from everybody else's."""

    def __init__(self, proxies: Proxies, *, bind: Sequence[str], listed: Sequence[str]) -> None:
        self._proxies: Final = proxies
        self._own_hosts: Final = frozenset(host_of(address) for address in bind)
        self._listed: Final = frozenset(listed)

    def check_page(self, req: Request) -> None:
        """Raise ForeignOriginError for what a page of another site makes a browser send.

        A program sends neither Origin nor Sec-Fetch-Site and passes.
        """
        origin = req.get_header("Origin")
        if origin is None:
            # A plain GET of another site's page names no origin, but says where it comes from.
            site = req.get_header("Sec-Fetch-Site")
            if site in {"cross-site", "same-site"}:
                raise ForeignOriginError(site)
            return
        is_own = origin.partition("://")[2] == self._proxies.host(req)
        if not is_own and origin not in self._listed:
            raise ForeignOriginError(origin)

    def check_own_machine(self, req: Request) -> None:
        """Raise for what could come from elsewhere by way of this machine's browser.

        Raises ForeignHostError, ForeignOriginError, or InvalidError for a form.
        """
        name = _name_of(req.get_header("Host", default=""))
        if name not in self._own_hosts and not is_loopback(name):
            raise ForeignHostError(name)
        self.check_page(req)
        if req.method in SAFE_METHODS:
            return
        has_body = bool(req.content_length) or req.get_header("Transfer-Encoding") is not None
        if has_body and not _is_no_form(req.content_type):
            # A page of any site can send a form here; it cannot send these without being asked.
            raise InvalidError({"Content-Type": f"Expected one of {', '.join(_NO_FORMS)}"})


@functools.lru_cache(_SPELLINGS_MAX)
def _name_of(host: str) -> str:
    """Return a Host header without its port, `::1` for `[::1]:8080`."""
    parts = host.rpartition("]")
    return (parts[0] + parts[1]).strip("[]") or parts[2].partition(":")[0]


@functools.lru_cache(_SPELLINGS_MAX)
def _is_no_form(content_type: str | None) -> bool:
    return (content_type or "").partition(";")[0].strip().lower() in _NO_FORMS
