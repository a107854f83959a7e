"""A message changed from outside its line, over HTTP: edited, deleted."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, ClassVar, Final

from falcon.asgi import Request, Response
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.auth.trail import signature_of
from api.http.reading import Body
from api.messages import bodies as wire
from api.messages.answers import INVALID, KEY, REFUSALS, MessagesResource
from api.messages.bounds import MessageBounds
from api.openapi.operations import Answer, operation
from models.errors import InvalidError
from models.messages.acts import Edit, Touched
from models.messages.changes import Changes
from models.messages.rules import internal_id, priority_of, public_id
from models.messages.service import MessageService

DueAt = Annotated[datetime, Meta(tz=True, description="a moment, ISO 8601 with an offset or Z")]
_DELAY_MAX_MS: Final = 31_536_000_000


class EditBody(Body, frozen=True, kw_only=True):
    """What to set anew; what is missing stays, and `type: null` is no type."""

    SPELLINGS: ClassVar[Mapping[str, str]] = {
        "maxAttempts": "max_attempts",
        "ackTimeout": "ack_timeout_seconds",
        "delaySeconds": "delay_seconds",
        "dueAt": "due_at",
    }

    payload: wire.Payload | UnsetType = UNSET
    type: wire.Name | UnsetType | None = UNSET
    priority: wire.Priority | UnsetType = UNSET
    max_attempts: wire.Attempts | UnsetType = UNSET
    ack_timeout_seconds: wire.Seconds | UnsetType = UNSET
    delay_seconds: wire.Delay | UnsetType = UNSET
    due_at: DueAt | UnsetType = UNSET


class DeleteMessageQuery(Body, frozen=True):
    """Whether a message goes too that a consumer holds."""

    force: bool = False


class EditedMessage(Struct, frozen=True, kw_only=True):
    """A message as it is after an edit; `due_at` of a delayed one."""

    id: str
    queue: str
    type: str | None
    payload: wire.Payload
    priority: int
    status: str
    attempt_count: int
    max_attempts: int
    ack_timeout_seconds: int
    created_at: str
    due_at: str | UnsetType = UNSET


class DeletedMessage(Struct, frozen=True):
    """A message that is gone, and the state it was in."""

    id: str
    status: str
    was: str


_NO_MESSAGE: Final = Answer(description="No such message", body=wire.MessagesError)


class ChangesResource(MessagesResource):
    """What changes `/api/queue/message/{message_id}`."""

    def __init__(
        self, service: MessageService, bounds: MessageBounds, now_ms: Callable[[], int]
    ) -> None:
        super().__init__(service, bounds, now_ms)
        self._changes: Final[Changes] = service.changes

    @operation(
        "Edit a message",
        body=EditBody,
        body_example={"priority": 9, "max_attempts": 5},
        answers={
            200: Answer(description="The message as it is now", body=EditedMessage),
            400: INVALID,
            404: _NO_MESSAGE,
            409: Answer(
                description="It is held or done, or has no due time; `details.status` says which",
                body=wire.MessagesError,
            ),
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_put(
        self, req: Request, resp: Response, message_id: str, *, body: EditBody
    ) -> None:
        """Set anew what a message says that waits, is delayed or is dead.

        It keeps its id and its place in line, in the lane of its priority. A delayed one may get
        another due time: `delay_seconds` from now, or `due_at`.
        """
        now_ms = self._now_ms()
        edit = edit_of(body, self._bounds, now_ms=now_ms)
        touched = await self._changes.edit(
            internal_id(message_id), edit, signature_of(req), now_ms=now_ms
        )
        resp.data = wire.encode(_edited(touched))

    @operation(
        "Delete a message",
        query=DeleteMessageQuery,
        answers={
            200: Answer(description="It is gone", body=DeletedMessage),
            400: INVALID,
            404: _NO_MESSAGE,
            409: Answer(description="A consumer holds it", body=wire.MessagesError),
            **REFUSALS,
        },
        security=KEY,
    )
    async def on_delete(
        self, req: Request, resp: Response, message_id: str, *, query: DeleteMessageQuery
    ) -> None:
        """Delete a message in any state; one that a consumer holds only with `force`.

        The consumer's ack is then answered 404.
        """
        touched = await self._changes.delete(
            internal_id(message_id),
            signature_of(req),
            force=query.force,
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(DeletedMessage(message_id, "deleted", touched.state.value))


def edit_of(body: EditBody, bounds: MessageBounds, *, now_ms: int) -> Edit:
    """Turn the wire's words into ours; raises InvalidError that names each wrong field."""
    faults: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name in ("type", "priority", "max_attempts"):
        if (value := getattr(body, name)) is not UNSET:
            values[name] = value
    if body.payload is not UNSET:
        values["payload"] = _payload(body.payload, faults)
    if body.ack_timeout_seconds is not UNSET:
        values["lease_ms"] = body.ack_timeout_seconds * 1000
    try:
        bounds.check_settings(body.ack_timeout_seconds, body.max_attempts)
    except InvalidError as error:
        faults |= error.details
    due_at_ms = _due_at_ms(body, faults, now_ms)
    if not values and due_at_ms is None and not faults:
        faults["body"] = "Expected at least one field to set"
    if faults:
        raise InvalidError(faults)
    return Edit(values=values, due_at_ms=due_at_ms)


def _payload(given: Raw, faults: dict[str, str]) -> str:
    try:
        payload = str(memoryview(given), "utf-8")
    except UnicodeDecodeError:  # the parser does not look into what it hands over raw
        faults["payload"] = "Expected UTF-8"
        return ""
    if payload[:1] != "{":
        faults["payload"] = "Expected `object`"
    return payload


def _due_at_ms(body: EditBody, faults: dict[str, str], now_ms: int) -> int | None:
    if body.delay_seconds is not UNSET and body.due_at is not UNSET:
        faults["due_at"] = "given beside delay_seconds, expected one of them"
        return None
    if body.delay_seconds is not UNSET:
        return now_ms + body.delay_seconds * 1000
    if body.due_at is UNSET:
        return None
    due_at_ms = int(body.due_at.timestamp() * 1000)
    if due_at_ms > now_ms + _DELAY_MAX_MS:
        faults["due_at"] = "Expected a moment within a year"
    return due_at_ms


def _edited(touched: Touched) -> EditedMessage:
    row = touched.row
    return EditedMessage(
        id=public_id(touched.id),
        queue=row["queue"],
        type=row["type"],
        payload=Raw(row["payload"].encode()),
        priority=priority_of(row["lane"]),
        status=touched.state.value,
        attempt_count=row["attempt_count"],
        max_attempts=row["max_attempts"],
        ack_timeout_seconds=row["lease_ms"] // 1000,
        created_at=wire.moment(row["created_at_ms"]),
        due_at=wire.moment_or_unset(row.get("due_at_ms")),
    )
