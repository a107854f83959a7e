"""The console's own pages; those of a domain stand beside the domain."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
from falcon.asgi import App, Request

from api.auth.access import Access
from api.auth.callers import Caller
from api.http.languages import Language
from api.ops.console import ConsolePage
from api.ops.overview import Overview
from api.pages.resources import Facts

_encode: Final = msgspec.json.Encoder().encode


class OverviewPage(ConsolePage):
    """`/ops`: every queue at a glance."""

    name = "overview"
    script = "overview.js"
    way = "overview"
    gaps = ("first",)

    def __init__(self, facts: Facts, access: Access, overview: Overview) -> None:
        super().__init__(facts, access)
        self._overview: Final = overview

    async def shown(self, req: Request, language: Language, caller: Caller) -> Mapping[str, str]:
        """Return the overview of this moment, which the script shows first."""
        del req, language, caller
        return {"first": _encode(await self._overview.view()).decode()}


class MessagesPage(ConsolePage):
    """`/ops/messages`: a queue with its types, and what is in it; the script asks for all of it."""

    name = "messages"
    script = "ops_messages.js"
    way = "messages"


class RoomsPage(ConsolePage):
    """`/ops/rooms`: every room, and one of them with what can be set."""

    name = "rooms"
    script = "ops_rooms.js"
    way = "rooms"


class MailPage(ConsolePage):
    """`/ops/mail`: what waits on all mail hosts; the script asks for all of it."""

    name = "mail"
    script = "ops_mail.js"
    way = "mail"
    gaps = ("ids_max",)

    def __init__(self, facts: Facts, access: Access, *, ids_max: int) -> None:
        super().__init__(facts, access)
        self._ids_max: Final = ids_max

    async def shown(self, req: Request, language: Language, caller: Caller) -> Mapping[str, str]:
        """Return how many messages one request may act on."""
        del req, language, caller
        return {"ids_max": str(self._ids_max)}


class PeoplePage(ConsolePage):
    """`/ops/people`: users and keys."""

    name = "people"
    script = "ops_people.js"
    way = "people"


class AuditPage(ConsolePage):
    """`/ops/audit`: who changed what."""

    name = "audit"
    script = "ops_audit.js"
    way = "audit"


def pages(
    access: Access, overview: Overview, *, mail_ids_max: int
) -> Callable[[App[Any, Any], Facts], None]:
    """Return what adds the console's own pages."""

    def add(app: App[Any, Any], facts: Facts) -> None:
        app.add_route("/ops", OverviewPage(facts, access, overview))
        app.add_route("/ops/messages", MessagesPage(facts, access))
        app.add_route("/ops/rooms", RoomsPage(facts, access))
        app.add_route("/ops/mail", MailPage(facts, access, ids_max=mail_ids_max))
        app.add_route("/ops/people", PeoplePage(facts, access))
        app.add_route("/ops/audit", AuditPage(facts, access))

    return add
