"""Changing the envelope of a message: whom it is still to go to, and who is told if it does not."""

from collections.abc import Sequence
from typing import Annotated, Final

from falcon.asgi import Request, Response
from msgspec import Meta

from api.http.reading import Body
from api.mail.acting import ACTING_ANSWERS, ActingResource
from api.mail.queries import MailHostQuery
from api.mail.resources import USERS
from api.openapi.operations import operation
from models.errors import InvalidError
from models.mail.rules import ADDRESSES_MAX, Action, check_address

_NULL_SENDER: Final = "<>"
_Addresses = Annotated[list[str], Meta(min_length=1, max_length=ADDRESSES_MAX)]


class MailRecipientsBody(Body, frozen=True, kw_only=True):
    """Addresses without angle brackets."""

    addresses: _Addresses


class MailDroppedBody(Body, frozen=True, kw_only=True):
    """Addresses as the list shows them, or `all` that are left."""

    addresses: _Addresses | None = None
    all: bool = False


class MailSenderBody(Body, frozen=True, kw_only=True):
    """An address without angle brackets; `<>` or nothing is the null sender, whom nobody tells."""

    sender: str


class RecipientsResource(ActingResource):
    """`/api/v1/queue/{message_id}/recipients`."""

    @operation(
        "Add recipients to a message",
        query=MailHostQuery,
        body=MailRecipientsBody,
        body_example={"addresses": ["postmaster@example.com"]},
        answers=ACTING_ANSWERS,
        security=USERS,
    )
    async def on_post(
        self,
        req: Request,
        resp: Response,
        message_id: str,
        *,
        query: MailHostQuery,
        body: MailRecipientsBody,
    ) -> None:
        """Have a message go to more addresses; who is a recipient already is not one twice."""
        action, addresses = Action.ADD_RECIPIENTS, _checked(body.addresses)
        await self._one(req, resp, action, message_id, query.host, addresses=addresses)

    @operation(
        "Take recipients off a message",
        query=MailHostQuery,
        body=MailDroppedBody,
        body_example={"addresses": ["gone@example.com"]},
        answers=ACTING_ANSWERS,
        security=USERS,
    )
    async def on_delete(
        self,
        req: Request,
        resp: Response,
        message_id: str,
        *,
        query: MailHostQuery,
        body: MailDroppedBody,
    ) -> None:
        """Mark recipients as delivered: no attempt is made for them any more, nobody is told.

        A message with nobody left goes at its next attempt.
        """
        if body.all == (body.addresses is not None):
            raise InvalidError({"addresses": "Expected either `addresses` or `all`"})
        action, addresses = Action.DROP_RECIPIENTS, _checked(body.addresses or [])
        await self._one(req, resp, action, message_id, query.host, addresses=addresses)


class SenderResource(ActingResource):
    """`/api/v1/queue/{message_id}/sender`."""

    @operation(
        "Change the sender of a message",
        query=MailHostQuery,
        body=MailSenderBody,
        body_example={"sender": "postmaster@example.com"},
        answers=ACTING_ANSWERS,
        security=USERS,
    )
    async def on_put(
        self,
        req: Request,
        resp: Response,
        message_id: str,
        *,
        query: MailHostQuery,
        body: MailSenderBody,
    ) -> None:
        """Change the envelope's sender, who gets the bounce; the headers stay as they are."""
        addresses: Sequence[str] = ()
        if body.sender not in {"", _NULL_SENDER}:
            check_address(body.sender, field="sender")
            addresses = [body.sender]
        await self._one(
            req, resp, Action.CHANGE_SENDER, message_id, query.host, addresses=addresses
        )


def _checked(addresses: Sequence[str]) -> Sequence[str]:
    """Return addresses, each once; raises InvalidError that names the first that is none."""
    for number, each in enumerate(addresses):
        check_address(each, field=f"addresses[{number}]")
    return list(dict.fromkeys(addresses))
