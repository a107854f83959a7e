"""Acting on all messages that a filter finds: a preview first, and then the same with `confirm`."""

from http import HTTPStatus
from typing import Annotated, Final, Literal

import msgspec
from falcon.asgi import Request, Response
from msgspec import Meta, Struct

from api.auth.callers import actor_of
from api.http.reading import Body
from api.mail.acting import ActingGround, ActingResource, check_may
from api.mail.bodies import MailCriteria, MailMessageBody, message_body
from api.mail.envelopes import MailError, MailSuccess, encode
from api.mail.outcomes import BULK_ACTIONS, MailOperationAnswer, operation_answer
from api.mail.queries import criteria_filter
from api.mail.resources import INVALID, REFUSALS, USERS
from api.openapi.operations import Answer, operation
from models.mail.filters import MailFilter
from models.mail.mass_acts import MassActs


class MailMatchingBody(Body, frozen=True, kw_only=True):
    """What to do with what is found; without `confirm` it is shown and not done.

    Criteria are those of a search; none find every message.
    """

    operation: Literal["deliver", "freeze", "thaw", "delete", "bounce"]
    criteria: MailCriteria
    confirm: Annotated[str, Meta(max_length=200)] | None = None


class MailPreviewData(Struct, frozen=True, kw_only=True):
    """How many it would be done to, the oldest of them, and what the same request brings next."""

    operation: str
    criteria: MailCriteria
    count: int
    sample: list[MailMessageBody]
    confirm: str


class MailPreviewAnswer(MailSuccess[MailPreviewData], frozen=True):
    """What would be done."""


class MatchingResource(ActingResource):
    """`/api/v1/queue/matching`."""

    def __init__(self, ground: ActingGround, mass: MassActs, expires_s: int) -> None:
        super().__init__(ground)
        self._mass: Final = mass
        self._expires_ms: Final = expires_s * 1000

    @operation(
        "Act on what a filter finds",
        body=MailMatchingBody,
        body_example={"operation": "freeze", "criteria": {"sender_domain": "example.com"}},
        answers={
            200: Answer(description="What would be done", body=MailPreviewAnswer),
            202: Answer(description="It has begun: follow the operation", body=MailOperationAnswer),
            400: INVALID,
            409: Answer(
                description="`confirm` is of another request, or more messages are found than then",
                body=MailError,
            ),
            503: Answer(description="A mail host shows no life; nothing was sent", body=MailError),
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_post(self, req: Request, resp: Response, *, body: MailMatchingBody) -> None:
        """Show what a filter finds, and with the `confirm` of that act on it.

        What came in after it was shown is not touched. The work goes on after the answer, in
        chunks, and what was not sent can be called off.
        """
        action = BULK_ACTIONS[body.operation]
        check_may(req, action)
        ground, criteria = self._ground, body.criteria
        now_ms = ground.now_ms()

        def wanted(moment_ms: int) -> MailFilter:
            return criteria_filter(criteria, now_ms=moment_ms)

        if body.confirm is None:
            seen = await self._mass.preview(action, wanted, now_ms=now_ms)
            shown = MailPreviewData(
                operation=body.operation,
                criteria=criteria,
                count=seen.count,
                sample=[message_body(each, now_ms=now_ms) for each in seen.sample],
                confirm=seen.confirm,
            )
            resp.data = encode(MailPreviewAnswer(data=shown))
            return
        report = await self._mass.act(
            action,
            wanted,
            body.confirm,
            actor_of(req, ground.proxies),
            audited=f"queue_matching_{body.operation}",
            criteria=msgspec.to_builtins(criteria),
            expires_ms=self._expires_ms,
            now_ms=now_ms,
        )
        resp.status = HTTPStatus.ACCEPTED
        resp.set_header("Location", f"/api/v1/queue/operations/{report.operation.id}")
        resp.data = encode(operation_answer(report))
