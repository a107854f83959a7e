"""Operations, which go on after the answer: how far they are, and calling them off."""

from falcon.asgi import Request, Response

from api.mail.acting import ActingResource
from api.mail.envelopes import MailError, encode
from api.mail.outcomes import MailOperationAnswer, operation_answer
from api.mail.resources import REFUSALS, USERS
from api.openapi.operations import Answer, operation


class OperationResource(ActingResource):
    """`/api/v1/queue/operations/{operation_id}`."""

    @operation(
        "Show an operation",
        answers={
            200: Answer(description="How far it is", body=MailOperationAnswer),
            404: Answer(description="No such operation", body=MailError),
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, operation_id: str) -> None:
        """Return how far an operation is, and what came of its messages so far."""
        resp.data = encode(operation_answer(await self._ground.acts.report(operation_id)))


class CancelResource(ActingResource):
    """`/api/v1/queue/operations/{operation_id}/cancel`."""

    @operation(
        "Call off an operation",
        answers={
            200: Answer(description="How far it came", body=MailOperationAnswer),
            404: Answer(description="No such operation", body=MailError),
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_post(self, _req: Request, resp: Response, operation_id: str) -> None:
        """Call off what has not been sent to a host; what a host has begun is finished."""
        report = await self._ground.acts.cancel(operation_id, now_ms=self._ground.now_ms())
        resp.data = encode(operation_answer(report))
