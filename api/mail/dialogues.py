"""What Exim and a receiver said to each other in the last attempt that somebody asked for."""

from collections.abc import Sequence
from typing import Final

from falcon.asgi import Request, Response
from msgspec import Struct

from api.mail.envelopes import MailError, MailSuccess, encode
from api.mail.outcomes import EVENT_NAMES
from api.mail.queries import MailHostQuery
from api.mail.resources import INVALID, NO_MESSAGE, REFUSALS, USERS
from api.openapi.operations import Answer, operation
from models.mail.dialogue_service import DialogueService


class MailDialogueData(Struct, frozen=True, kw_only=True):
    """The lines so far, those of Exim's own log among them; no operation: none is kept.

    `is_lost`: over because its host told nothing more; the log has how the attempt ended.
    """

    message_id: str
    host: str | None
    operation_id: str | None
    operation: str | None
    lines: Sequence[str]
    is_over: bool
    is_lost: bool


class MailDialogueAnswer(MailSuccess[MailDialogueData], frozen=True):
    """A dialogue."""


class DialogueResource:
    """`/api/v1/messages/{message_id}/dialogue`."""

    def __init__(self, service: DialogueService) -> None:
        self._service: Final = service

    @operation(
        "Show the dialogue of an attempt",
        query=MailHostQuery,
        answers={
            200: Answer(description="What was said so far", body=MailDialogueAnswer),
            400: INVALID,
            404: NO_MESSAGE,
            503: Answer(description="Redis is away", body=MailError),
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return what was said when a message was last delivered or sent back by hand.

        It is kept for a day, also when the message is gone. `/ws` and Socket.IO tell more of it as
        it is said.
        """
        found = await self._service.last(message_id, host=query.host)
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(
            MailDialogueAnswer(
                data=MailDialogueData(
                    message_id=message_id,
                    host=found.host if found else query.host,
                    operation_id=found.operation_id if found else None,
                    operation=EVENT_NAMES[found.action] if found else None,
                    lines=found.lines if found else (),
                    is_over=found.is_over if found else True,
                    is_lost=found.is_lost if found else False,
                )
            )
        )
