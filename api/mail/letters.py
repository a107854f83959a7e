"""One message whole: what the index knows, what its host reads, and what the logs say of it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
from falcon.asgi import Request, Response
from msgspec import Struct

from api.auth.callers import caller_of
from api.mail.bodies import MailDetailsData, details_data
from api.mail.envelopes import MailError, MailSuccess, encode
from api.mail.queries import MailHostQuery
from api.mail.resources import INVALID, NO_MESSAGE, REFUSALS, USERS
from api.mail.trace_bodies import MailAttemptBody, attempt_body, described
from api.openapi.operations import Answer, operation
from models.clock import iso_utc
from models.errors import UnavailableError
from models.mail.letter_service import LetterService
from models.mail.log_lines import ATTEMPTS
from models.mail.log_service import LogService
from models.mail.log_views import LoggedLine
from models.mail.rules import MessageNotFoundError
from models.mail.service import MailService
from models.mail.traces import is_attempt
from models.mail.views import Letter
from models.people.rules import Role

# A page would rather show what the index knows than wait for a host that is slow.
_DETAILS_PATIENCE_S: Final = 3.0
_TAKEN: Final = Answer(description="Several hosts have one of this id", body=MailError)
_AWAY: Final = Answer(description="The mail host shows no life, or a store is away", body=MailError)


class MailSmtpLog(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the main log about a message."""

    timestamp: str
    event: str
    sender: str | None = None
    recipient: str | None = None
    host: str | None = None
    ip_address: str | None = None
    message: str


class MailWholeData(MailDetailsData, frozen=True, kw_only=True):
    """One message in full; without headers, and `is_read` false, while its host is silent."""

    headers: dict[str, str]
    content_preview: str
    is_read: bool
    smtp_logs: Sequence[MailSmtpLog]
    delivery_attempts: Sequence[MailAttemptBody]


class MailWholeAnswer(MailSuccess[MailWholeData], frozen=True):
    """One message in full."""


class MailHeaderBody(Struct, frozen=True, kw_only=True):
    """One header, its words decoded."""

    name: str
    value: str


class MailContentData(Struct, frozen=True, kw_only=True):
    """What a message says: text, whatever it was; `content` is the body as it travels."""

    message_id: str
    host: str
    headers: Sequence[MailHeaderBody]
    content_preview: str
    content: str
    content_bytes: int
    is_cut: bool
    message_log: str


class MailContentAnswer(MailSuccess[MailContentData], frozen=True):
    """What a message says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LetterGround:
    """What the resources of whole messages stand on."""

    service: MailService
    letters: LetterService
    logs: LogService
    answer_s: float
    now_ms: Callable[[], int]


class WholeMessageResource:
    """`/api/v1/queue/{message_id}`."""

    def __init__(self, ground: LetterGround) -> None:
        self._letter_ground: Final = ground

    @operation(
        "Show a message",
        query=MailHostQuery,
        answers={
            200: Answer(description="The message", body=MailWholeAnswer),
            400: INVALID,
            404: NO_MESSAGE,
            409: _TAKEN,
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_get(
        self, req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return a message; `host` is needed only if several hosts have one of this id.

        Headers and preview are read on its host; while that is silent, the rest is answered. The
        preview is of what the letter says, so it is for those who may read letters: for others it
        is empty.
        """
        ground = self._letter_ground
        found = await ground.service.get(message_id, host=query.host)
        letter = None
        try:
            await ground.service.require_life(found.host, now_ms=ground.now_ms())
            patience_s = min(ground.answer_s, _DETAILS_PATIENCE_S)
            letter = await ground.letters.read(found.host, message_id, timeout_s=patience_s)
        except UnavailableError:
            pass  # `is_read` says so
        lines = [
            each for each in await ground.logs.of_message(message_id) if each.host == found.host
        ]
        user = caller_of(req).user
        if letter is not None and (user is None or user.role is not Role.ADMIN):
            letter = msgspec.structs.replace(letter, preview="")
        resp.data = encode(MailWholeAnswer(data=_whole(details_data(found), letter, lines)))


class ContentResource:
    """`/api/v1/messages/{message_id}/content`."""

    def __init__(self, ground: LetterGround) -> None:
        self._ground: Final = ground

    @operation(
        "Show what a message says",
        query=MailHostQuery,
        answers={
            200: Answer(description="Headers, body and log as text", body=MailContentAnswer),
            400: INVALID,
            404: NO_MESSAGE,
            409: _TAKEN,
            503: _AWAY,
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return the headers and the beginning of the body of a message that is on a queue.

        Its host reads them now. All of it is text: what is none is replaced, nothing is unpacked.
        """
        found = await self._ground.service.get(message_id, host=query.host)
        await self._ground.service.require_life(found.host, now_ms=self._ground.now_ms())
        letter = await self._ground.letters.read(
            found.host, message_id, timeout_s=self._ground.answer_s
        )
        if letter is None:  # it left a moment ago
            raise MessageNotFoundError(message_id)
        resp.set_header("Cache-Control", "no-store")
        resp.data = encode(
            MailContentAnswer(
                data=MailContentData(
                    message_id=message_id,
                    host=found.host,
                    headers=[MailHeaderBody(name=n, value=v) for n, v in letter.headers],
                    content_preview=letter.preview,
                    content=letter.body,
                    content_bytes=letter.body_bytes,
                    is_cut=letter.is_cut,
                    message_log=letter.log,
                )
            )
        )


def _whole(
    known: MailDetailsData, letter: Letter | None, lines: Sequence[LoggedLine]
) -> MailWholeData:
    """Put together what is known of a message; of headers with one name the last is told."""
    return MailWholeData(
        **{name: getattr(known, name) for name in MailDetailsData.__struct_fields__},
        headers={} if letter is None else dict(letter.headers),
        content_preview="" if letter is None else letter.preview,
        is_read=letter is not None,
        smtp_logs=[_smtp_log(each) for each in lines],
        delivery_attempts=[
            attempt_body(each) for each in lines if each.line.event in ATTEMPTS and is_attempt(each)
        ],
    )


def _smtp_log(logged: LoggedLine) -> MailSmtpLog:
    line = logged.line
    return MailSmtpLog(
        timestamp=iso_utc(line.at_ms),
        event=line.event.value,
        sender=line.sender or None,
        recipient=line.recipient or None,
        host=line.remote or None,
        ip_address=line.address or None,
        message=described(logged),
    )
