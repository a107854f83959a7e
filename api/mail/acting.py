"""Acting on messages: deliver, freeze, thaw, delete, one or many; each answer has each outcome."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final, Literal

import msgspec
from falcon.asgi import Request, Response

from api.auth.callers import actor_of, caller_of
from api.auth.errors import ForbiddenRoleError
from api.http.caller import Proxies
from api.http.reading import Body, read_bytes, read_json
from api.mail.envelopes import MailError, encode
from api.mail.outcomes import (
    BULK_ACTIONS,
    BULK_NAMES,
    EVENT_NAMES,
    NAMES,
    MailBulkAnswer,
    MailBulkResult,
    MailFailure,
    MailResultAnswer,
    result_of,
)
from api.mail.queries import MailHostQuery
from api.mail.resources import INVALID, NO_MESSAGE, REFUSALS, USERS
from api.openapi.operations import Answer, operation
from models.errors import InvalidError
from models.events import Event
from models.mail import facts
from models.mail.acts import Acts
from models.mail.operations import Report
from models.mail.rules import Action, MessageNotFoundError, Result, check_message_id
from models.people.rules import Role

_AWAY: Final = Answer(description="A mail host shows no life; nothing was sent", body=MailError)
_LATE: Final = Answer(description="A mail host did not answer in time", body=MailError)
_FINAL: Final = frozenset({Action.REMOVE, Action.BOUNCE})


class MailActionBody(Body, frozen=True, kw_only=True):
    """Which messages: one by `message_id`, or many; `host` where several have one of an id."""

    message_id: str | None = None
    message_ids: list[str] | None = None
    host: str | None = None


class MailBulkBody(Body, frozen=True, kw_only=True):
    """What to do with which messages."""

    operation: Literal["deliver", "freeze", "thaw", "delete", "bounce"]
    message_ids: tuple[str, ...] = ()
    host: str | None = None


_decoder: Final = msgspec.json.Decoder(MailActionBody)


async def _read_action(req: Request, size_max: int) -> MailActionBody:
    """Return which messages are meant; no body is one that names none, and is told what lacks."""
    raw = await read_bytes(req, size_max)
    return read_json(raw if raw.strip() else b"{}", _decoder)


ACTING_ANSWERS: Final = {
    200: Answer(
        description="What came of it; for `message_ids` the form of `/api/v1/queue/bulk`",
        body=MailResultAnswer,
        other=MailBulkAnswer,
    ),
    400: INVALID,
    404: NO_MESSAGE,
    409: Answer(description="Several hosts have a message of this id", body=MailError),
    500: Answer(description="Exim did not do it, and `data` says why", body=MailFailure),
    503: _AWAY,
    504: _LATE,
    **REFUSALS,
}
_BULK_ANSWERS: Final = {
    **ACTING_ANSWERS,
    200: Answer(description="What came of each message", body=MailBulkAnswer),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ActingGround:
    """What resources that act stand on."""

    acts: Acts
    tell: Callable[[Event], None]  # live clients, after the fact
    proxies: Proxies
    ids_max: int
    answer_s: float
    body_bytes_max: int
    now_ms: Callable[[], int]


class ActingResource:
    """A resource that acts on messages."""

    def __init__(self, ground: ActingGround) -> None:
        self.body_bytes_max = ground.body_bytes_max
        self._ground: Final = ground

    async def _one(
        self,
        req: Request,
        resp: Response,
        action: Action,
        message_id: str,
        host: str | None,
        *,
        addresses: Sequence[str] = (),
    ) -> None:
        check_message_id(message_id)
        audited = f"queue_{NAMES[action]}"
        report = await self._do(
            req, action, [message_id], host, audited=audited, addresses=addresses
        )
        settled = report.outcomes[message_id]
        result = result_of(message_id, settled, action)
        if settled.outcome.result is Result.GONE:
            raise MessageNotFoundError(message_id)
        if settled.outcome.result is Result.REFUSED:
            raise InvalidError({"addresses": settled.outcome.said})
        if result.success:
            now_ms = self._ground.now_ms()
            self._ground.tell(facts.acted(EVENT_NAMES[action], message_id, now_ms=now_ms))
            resp.data = encode(MailResultAnswer(data=result))
        else:
            resp.status = HTTPStatus.INTERNAL_SERVER_ERROR
            resp.data = encode(MailFailure(error=result.error, data=result))

    async def _many(
        self,
        req: Request,
        resp: Response,
        action: Action,
        message_ids: Sequence[str],
        host: str | None,
    ) -> None:
        audited = f"queue_bulk_{BULK_NAMES[action]}"
        if not message_ids:
            raise InvalidError({"message_ids": "message_ids is required"})
        if len(message_ids) > self._ground.ids_max:
            many = f"message_ids has too many items (max {self._ground.ids_max})"
            raise InvalidError({"message_ids": many})
        report = await self._do(req, action, message_ids, host, audited=audited)
        outcomes = report.outcomes
        results = [result_of(each, outcomes[each], action) for each in dict.fromkeys(message_ids)]
        good = sum(each.success for each in results)
        done = MailBulkResult(
            total_messages=len(results),
            successful_count=good,
            failed_count=len(results) - good,
            operation=BULK_NAMES[action],
            results=results,
        )
        if good:
            named = [each.message_id for each in results]
            now_ms = self._ground.now_ms()
            self._ground.tell(facts.acted_on_many(done.operation, named, done, now_ms=now_ms))
        resp.data = encode(MailBulkAnswer(data=done))

    async def _do(
        self,
        req: Request,
        action: Action,
        message_ids: Sequence[str],
        host: str | None,
        *,
        audited: str,
        addresses: Sequence[str] = (),
    ) -> Report:
        ground = self._ground
        report = await ground.acts.act(
            action,
            message_ids,
            actor_of(req, ground.proxies),
            audited=audited,
            addresses=addresses,
            host=host,
            expires_ms=int(ground.answer_s * 1000),
            now_ms=ground.now_ms(),
        )
        return await ground.acts.finish(report, timeout_s=ground.answer_s, now_ms=ground.now_ms)

    async def _body(
        self, req: Request, resp: Response, action: Action, body: MailActionBody
    ) -> None:
        if body.message_id is not None and body.message_ids is not None:
            raise InvalidError({"message_id": "not beside message_ids"})
        if body.message_id is None and body.message_ids is None:
            raise InvalidError({"message_ids": "message_ids or message_id is required"})
        if body.message_id is not None:
            await self._one(req, resp, action, body.message_id, body.host or None)
        else:
            await self._many(req, resp, action, body.message_ids or [], body.host or None)


class ActionResource(ActingResource):
    """`/api/v1/queue/actions/{action}`."""

    def __init__(self, ground: ActingGround, action: Action) -> None:
        super().__init__(ground)
        self._action: Final = action

    @operation(
        "Act on messages",
        body=MailActionBody,
        body_reader=_read_action,
        body_example={"message_id": "1xUNcV-0005ay-0d"},
        answers=ACTING_ANSWERS,
        security=USERS,
    )
    async def on_post(self, req: Request, resp: Response, *, body: MailActionBody) -> None:
        """Act on one message, or on many; messages that nobody has are failed rows of many.

        What was so before counts as done, and `message` says so.
        """
        await self._body(req, resp, self._action, body)


def check_may(req: Request, action: Action) -> None:
    """Raise ForbiddenRoleError unless the caller may do what cannot be taken back."""
    user = caller_of(req).user
    if action in _FINAL and (user is None or user.role is not Role.ADMIN):
        raise ForbiddenRoleError(user.role.value if user else "")


class DeletingResource(ActingResource):
    """`DELETE /api/v1/queue`, beside the list."""

    @operation(
        "Delete messages",
        body=MailActionBody,
        body_reader=_read_action,
        body_example={"message_ids": ["1xUNcV-0005ay-0d"]},
        answers=ACTING_ANSWERS,
        security=USERS,
    )
    async def on_delete(self, req: Request, resp: Response, *, body: MailActionBody) -> None:
        """Take messages out of the queue for good; nobody is told, no bounce is sent."""
        await self._body(req, resp, Action.REMOVE, body)


class BulkResource(ActingResource):
    """`/api/v1/queue/bulk`."""

    @operation(
        "Act on many messages",
        body=MailBulkBody,
        body_example={"operation": "freeze", "message_ids": ["1xUNcV-0005ay-0d"]},
        answers=_BULK_ANSWERS,
        security=USERS,
    )
    async def on_post(self, req: Request, resp: Response, *, body: MailBulkBody) -> None:
        """Act on many messages; only an admin deletes or sends back."""
        action = BULK_ACTIONS[body.operation]
        check_may(req, action)
        await self._many(req, resp, action, body.message_ids, body.host)


class OneActionResource(ActingResource):
    """`/api/v1/queue/{message_id}/{action}`."""

    def __init__(self, ground: ActingGround, action: Action) -> None:
        super().__init__(ground)
        self._action: Final = action

    @operation(
        "Act on a message",
        query=MailHostQuery,
        answers=ACTING_ANSWERS,
        security=USERS,
    )
    async def on_post(
        self, req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Act on one message."""
        await self._one(req, resp, self._action, message_id, query.host)


class OneDeletingResource(ActingResource):
    """`DELETE /api/v1/queue/{message_id}`, beside the message."""

    @operation("Delete a message", query=MailHostQuery, answers=ACTING_ANSWERS, security=USERS)
    async def on_delete(
        self, req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Take a message out of the queue for good."""
        await self._one(req, resp, Action.REMOVE, message_id, query.host)
