"""What every page of the console has: its frame, its ways, and that somebody is logged in.

docs/console.md tells operators, docs/pages.md whoever adds a page.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response

from api.auth.access import Access
from api.auth.callers import Caller
from api.http.languages import Language
from api.pages.resources import Facts
from api.pages.user_page import UserPage
from models.people.rules import Role

WATCHERS: Final = (Role.ADMIN, Role.OPERATOR, Role.SUPERVISOR, Role.VIEWER)
# Every way of the frame, and who is shown it; the links stand in pages/console.html.
WAYS: Final[Mapping[str, tuple[Role, ...]]] = {
    "overview": WATCHERS,
    "messages": WATCHERS,
    "rooms": (Role.ADMIN,),
    "mail": (Role.ADMIN, Role.OPERATOR, Role.VIEWER),
    "tickets": (Role.ADMIN, Role.SUPERVISOR),
    "people": (Role.ADMIN,),
    "audit": (Role.ADMIN,),
}


class ConsolePage(UserPage):
    """A page of the console; whoever is not logged in is led to the log-in and back.

    A subclass names its `way`, one of WAYS. Whom the way is not for is told so, with 403.
    """

    layout = "console"
    way: str
    # The ways that are served; a page adds its own when it is made.
    _served: Final[set[str]] = set()

    def __init__(self, facts: Facts, access: Access) -> None:
        super().__init__(facts, access)
        self._served.add(self.way)

    async def on_get(self, req: Request, resp: Response) -> None:
        """Send the page, lead to the log-in, or say whom it is for."""
        await super().on_get(req, resp)
        caller = await self.caller(req)
        if resp.status_code == HTTPStatus.OK and not self._may(caller, self.way):
            resp.status = HTTPStatus.FORBIDDEN

    async def values(
        self, req: Request, language: Language, user_name: str | None
    ) -> Mapping[str, str]:
        """Return the ways of the caller, beside what `shown` adds."""
        del user_name
        caller = await self.caller(req)
        may = caller is not None and self._may(caller, self.way)
        own = await self.shown(req, language, caller) if caller is not None and may else {}
        return {
            **{
                f"way.{way}": "" if way in self._served and self._may(caller, way) else "hidden"
                for way in WAYS
            },
            **{f"at.{way}": "page" if way == self.way else "false" for way in WAYS},
            "role": caller.user.role.value if caller is not None and caller.user else "",
            "hidden_from_others": "" if may else "hidden",
            "hidden_from_those": "hidden" if may else "",
            **dict.fromkeys(self.gaps, ""),
            **own,
        }

    # What `shown` fills, for when it is not asked.
    gaps: tuple[str, ...] = ()

    async def shown(self, req: Request, language: Language, caller: Caller) -> Mapping[str, str]:
        """Return what fills the gaps of this page alone."""
        del req, language, caller
        return {}

    def _may(self, caller: Caller | None, way: str) -> bool:
        return caller is not None and caller.user is not None and caller.user.role in WAYS[way]
