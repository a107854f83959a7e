"""What the resources of messages share: their refusals, and what they stand on."""

from collections.abc import Callable, Mapping
from typing import Final

from falcon.asgi import Response

from api.messages import bodies as wire
from api.messages.bounds import MessageBounds
from api.openapi.operations import Answer
from models.errors import NotFoundError
from models.messages.rules import Enqueued
from models.messages.service import MessageService

KEY: Final = ("ApiKey",)
INVALID: Final = Answer(description="A field is wrong", body=wire.MessagesError)
REFUSALS: Final[Mapping[int, Answer]] = {
    401: Answer(description="The API key is missing or wrong", body=wire.MessagesError),
    413: Answer(description="The body is too large", body=wire.MessagesError),
    429: Answer(description="Too much is under way; try again", body=wire.MessagesError),
    503: Answer(description="The database is away; try again", body=wire.MessagesError),
}
KEY_REUSED: Final = Answer(
    description="The Idempotency-Key was used for another request", body=wire.MessagesError
)
NO_QUEUE: Final = Answer(description="No such queue", body=wire.MessagesError)
# Of what needs a lease.
NOT_HELD: Final[Mapping[int, Answer]] = {
    400: INVALID,
    404: Answer(description="No such message", body=wire.MessagesError),
    409: Answer(description="The lock token does not hold the message", body=wire.MessagesError),
    **REFUSALS,
}


class NoMessagesError(NotFoundError):
    """No message waited, or came in time."""

    code = "NO_MESSAGES"

    def __str__(self) -> str:
        return "No messages available"


def note_repeat(resp: Response, stored: Enqueued) -> None:
    """Say so if a request was carried out before: the answer is that of the first one."""
    if stored.is_repeat:
        resp.set_header("Idempotent-Replayed", "true")


class MessagesResource:
    """A resource of messages."""

    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        self.body_bytes_max = bounds.body_bytes_max
        self._service: Final = service
        self._bounds: Final = bounds
        self._now_ms: Final = now_ms


class BatchesResource(MessagesResource):
    """A resource whose bodies hold many messages."""

    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(service, bounds, now_ms)
        self.body_bytes_max = bounds.batch_body_bytes_max
