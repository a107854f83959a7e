"""The API's reference for people: `/api/doc`, shown by Scalar, without a word to other hosts."""

from typing import Final

from falcon.asgi import App, Request, Response

from api.pages import assets

# Scalar writes style elements and attributes, hence 'unsafe-inline' for styles; scripts come from
# files only. `connect-src 'self'` lets the page call this server's API and nobody else.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; font-src 'self' data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_FILES: Final = ("reference.js", "vendor/scalar-api-reference-1.72.1/standalone.js")


def add_routes(app: App[Request, Response]) -> None:
    """Serve the page at `/api/reference` and its scripts below `/static/`."""
    headers = (("Content-Security-Policy", _POLICY), ("Referrer-Policy", "no-referrer"))
    app.add_route("/api/reference", assets.AssetResource(assets.load("reference.html"), headers))
    assets.add_routes(app, _FILES)
