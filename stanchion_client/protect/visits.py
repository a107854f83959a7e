"""What a request shows, read in one way for ASGI and WSGI."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, unquote_plus

SESSION_HEADER: Final = "x-stanchion-session"
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request: `path` as it was sent, still encoded, `headers` by lower-case names."""

    method: str
    path: str
    query: str  # without its question mark
    headers: Mapping[str, str]
    is_secure: bool

    def parameter(self, name: str) -> str | None:
        """Return the value of the query's first parameter of that name."""
        for part in self.query.split("&"):
            key, _, value = part.partition("=")
            if unquote_plus(key) == name:
                return unquote_plus(value)
        return None

    def address_without(self, name: str) -> str:
        """Return path and query, as they were sent, without a parameter."""
        kept = [
            part
            for part in self.query.split("&")
            if part and unquote_plus(part.partition("=")[0]) != name
        ]
        # Browsers read a leading "//" as another host.
        path = "/" + self.path.lstrip("/\\")
        return f"{path}?{'&'.join(kept)}" if kept else path

    def cookie(self, name: str) -> str | None:
        """Return the value of the first cookie of that name."""
        for part in self.headers.get("cookie", "").split(";"):
            key, _, value = part.strip().partition("=")
            if key == name:
                return value.strip('"')
        return None

    def is_below(self, paths: Sequence[str]) -> bool:
        """Say whether the path is one of these or below one."""
        path = unquote(self.path)
        if "//" in path or "\\" in path or {".", ".."} & set(path.split("/")):
            return False  # what the site makes of it is not for us to guess
        return any(path == each or path.startswith(each.rstrip("/") + "/") for each in paths)

    def is_navigation(self) -> bool:
        """Say whether a person goes to a page: who else asks cannot be led anywhere."""
        mode = self.headers.get("sec-fetch-mode")
        if self.method not in SAFE_METHODS or (mode and mode != "navigate"):
            return False
        return "text/html" in self.headers.get("accept", "")
