"""Pages for who is logged in; whoever is not is led to the log-in and back."""

from http import HTTPStatus
from typing import Final
from urllib.parse import quote

from falcon.asgi import Request, Response

from api.auth.access import Access
from api.auth.callers import Caller
from api.pages.resources import Facts, Page
from models.errors import UnauthenticatedError


class UserPage(Page):
    """A page for users."""

    def __init__(self, facts: Facts, access: Access) -> None:
        super().__init__(facts, access.name_of, access.proxies)
        self._access: Final = access

    async def on_get(self, req: Request, resp: Response) -> None:
        """Send the page, or lead to the log-in."""
        if req.get_param("lang") is None and await self.caller(req) is None:
            resp.status = HTTPStatus.SEE_OTHER
            resp.set_header("Location", f"/login?next={quote(req.relative_uri)}")
            resp.set_header("Cache-Control", "no-store")
            return
        await super().on_get(req, resp)

    async def caller(self, req: Request) -> Caller | None:
        """Return who is logged in; nobody is whose session is over."""
        try:
            return await self._access.callers.user_of(req)
        except UnauthenticatedError:
            return None
