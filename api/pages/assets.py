"""The files that pages need, out of the wheel: no directory is served, each file has its own route.

A file is held compressed in memory and sent so to whoever takes gzip. A vendored file has its
version in its address and may be cached for good; of our own files a browser asks each time
whether they changed.
"""

import asyncio
import gzip
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

from falcon.asgi import App, Request, Response

PREFIX: Final = "/static/"
_FOLDER: Final = Path(__file__).resolve().parents[1] / "static"
_MEDIA_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"
_GZIP: Final = re.compile(r"\bgzip\b(?!\s*;\s*q=0(\.0*)?\s*(,|$))", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """One file as it is sent; `size_bytes` is that of the plain content."""

    media_type: str
    etag: str
    cache_control: str
    compressed: bytes
    size_bytes: int


def load(path: str) -> Asset:
    """Read a file below `api/static/`; a vendored one is stored compressed, as `path` + `.gz`."""
    is_vendored = path.startswith("vendor/")
    if is_vendored:
        compressed = (_FOLDER / f"{path}.gz").read_bytes()
        content = gzip.decompress(compressed)
    else:
        content = (_FOLDER / path).read_bytes()
        compressed = gzip.compress(content, mtime=0)
    # Weak, because one tag stands for the plain and the compressed form.
    etag = f'W/"{hashlib.sha256(content).hexdigest()[:32]}"'
    return Asset(
        media_type=_MEDIA_TYPES[Path(path).suffix],
        etag=etag,
        cache_control=_FOR_GOOD if is_vendored else _ASK_FIRST,
        compressed=compressed,
        size_bytes=len(content),
    )


def add_routes(app: App[Request, Response], paths: Iterable[str]) -> None:
    """Serve these files below `/static/`, and no other."""
    for path in paths:
        app.add_route(PREFIX + path, AssetResource(load(path)))


class AssetResource:
    """Answers with one file; `headers` go with it."""

    def __init__(self, asset: Asset, headers: Iterable[tuple[str, str]] = ()) -> None:
        self._asset = asset
        self._headers = (
            ("Cache-Control", asset.cache_control),
            ("ETag", asset.etag),
            ("Vary", "Accept-Encoding"),
            ("X-Content-Type-Options", "nosniff"),
            *headers,
        )

    async def on_get(self, req: Request, resp: Response) -> None:
        """Send the file; 304 if the caller's copy is the same."""
        if self._needs_body(req, resp):
            compressed = self._asset.compressed
            # Few ask for the plain form, and unpacking the largest takes 20 ms.
            resp.data = (
                compressed
                if takes_gzip(req)
                else await asyncio.to_thread(gzip.decompress, compressed)
            )

    async def on_head(self, req: Request, resp: Response) -> None:
        """Send what a GET would, without the file."""
        if self._needs_body(req, resp):
            asset = self._asset
            resp.content_length = len(asset.compressed) if takes_gzip(req) else asset.size_bytes

    def _needs_body(self, req: Request, resp: Response) -> bool:
        """Set the headers; say whether the caller needs more than them."""
        resp.content_type = self._asset.media_type
        resp.set_headers(self._headers)
        if takes_gzip(req):
            resp.set_header("Content-Encoding", "gzip")
        known = req.get_header("If-None-Match", default="")
        is_current = self._asset.etag.removeprefix("W/") in known or known.strip() == "*"
        if is_current:
            resp.status = HTTPStatus.NOT_MODIFIED
        return not is_current


def takes_gzip(req: Request) -> bool:
    """Say whether the caller named gzip among what it can unpack."""
    return _GZIP.search(req.get_header("Accept-Encoding", default="")) is not None
