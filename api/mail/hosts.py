"""A mail host that is no more."""

from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response

from api.auth.callers import actor_of
from api.http.caller import Proxies
from api.mail.envelopes import MailError
from api.mail.resources import REFUSALS, USERS, Ground, MailResource
from api.openapi.operations import Answer, operation
from models.mail.service import MailService


class OneHostResource(MailResource[MailService]):
    """`/api/v1/queue/hosts/{host}`."""

    def __init__(self, ground: Ground[MailService], proxies: Proxies) -> None:
        super().__init__(ground)
        self._proxies: Final = proxies

    @operation(
        "Forget a mail host",
        answers={
            204: Answer(description="Its queue is in no list any more"),
            404: Answer(description="No host has this name", body=MailError),
            409: Answer(description="The host is alive", body=MailError),
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_delete(self, req: Request, resp: Response, host: str) -> None:
        """Take a host that is no more out of the lists, with its queue; nothing is sent to it.

        What its log said stays until that is old. A host that comes back is in the lists again.
        """
        await self._service.forget_host(host, actor_of(req, self._proxies), now_ms=self._now_ms())
        resp.status = HTTPStatus.NO_CONTENT
