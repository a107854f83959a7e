"""The list as a table, to be taken away: the same filters and order, as many messages as is set."""

import asyncio
from collections.abc import Sequence
from typing import Final

from falcon.asgi import Request, Response

from api.http import spreadsheets
from api.mail.bodies import message_body
from api.mail.queries import MailListQuery
from api.mail.resources import INVALID, REFUSALS, USERS, Ground, MailResource
from api.openapi.operations import Answer, operation
from models.mail.service import MailService
from models.mail.views import HostedMail

_COLUMNS: Final = (
    *("id", "host", "queue", "status", "timestamp", "age", "size", "sender", "recipients"),
    *("delivered", "subject", "retry_count", "last_attempt", "next_retry", "last_error"),
)


class ExportResource(MailResource[MailService]):
    """`/api/v1/queue/export`."""

    def __init__(self, ground: Ground[MailService], *, messages_max: int) -> None:
        super().__init__(ground)
        self._messages_max: Final = messages_max

    @operation(
        "Take the list away",
        query=MailListQuery,
        answers={
            200: Answer(description="A line for each message", media_type="text/csv"),
            400: INVALID,
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailListQuery) -> None:
        """Return the messages that a list would have, in its order, from its first page on.

        `X-Total-Count` says how many there are: more than `STANCHION_MAIL_EXPORT_MAX` are left out.
        A cell that a spreadsheet would take for a formula begins with an apostrophe.
        """
        now_ms = self._now_ms()
        found = await self._service.page(
            query.filter(now_ms=now_ms),
            sort_by=query.sort_by,
            descending=query.order == "desc",
            per_page=self._messages_max,
        )
        # Some thousand rows take a while, in which others want to be answered.
        resp.text = await asyncio.to_thread(_table, found.mails, now_ms)
        resp.content_type = "text/csv; charset=utf-8"
        resp.downloadable_as = "mail-queue.csv"
        resp.set_header("X-Total-Count", str(found.total))
        resp.set_header("Cache-Control", "no-store")


def _table(mails: Sequence[HostedMail], now_ms: int) -> str:
    rows = (message_body(each, now_ms=now_ms) for each in mails)
    return spreadsheets.table(
        _COLUMNS, ([_cell(getattr(row, name)) for name in _COLUMNS] for row in rows)
    )


def _cell(value: object) -> object:
    return " ".join(value) if isinstance(value, (list, tuple)) else value
