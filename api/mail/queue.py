"""The queues of all hosts, as they are: lists, searches, what was done, the hosts."""

from falcon.asgi import Request, Response

from api.mail import bodies
from api.mail.envelopes import encode, meta
from api.mail.queries import (
    MailHistoryQuery,
    MailListQuery,
    MailSearchBody,
    criteria_filter,
    page_of,
)
from api.mail.resources import OF_MESSAGE, OF_VALUES, REFUSALS, USERS, MailResource
from api.openapi.operations import answered, operation
from models.mail.filters import MailFilter
from models.mail.service import MailService
from models.mail.views import MailPage


class ListResource(MailResource[MailService]):
    """A resource that lists messages."""

    async def _page(self, wanted: MailFilter, asked: MailListQuery | MailSearchBody) -> MailPage:
        page, per_page = page_of(asked)
        return await self._service.page(
            wanted,
            sort_by=asked.sort_by,
            descending=asked.order == "desc",
            page=page,
            per_page=per_page,
        )


class QueueResource(ListResource):
    """`/api/v1/queue`."""

    @operation(
        "List the messages",
        query=MailListQuery,
        answers=answered("A page of them", bodies.MailQueueAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailListQuery) -> None:
        """Return a page of the messages of all hosts, with what all queues hold."""
        now_ms = self._now_ms()
        found = await self._page(query.filter(now_ms=now_ms), query)
        resp.data = encode(
            bodies.MailQueueAnswer(
                data=bodies.queue_data(found, now_ms=now_ms),
                meta=meta(found.total, *page_of(query)),
            )
        )


class SearchResource(ListResource):
    """`/api/v1/queue/search`."""

    @operation(
        "Search for messages",
        body=MailSearchBody,
        body_example={"criteria": {"sender": "@example.com", "status": "frozen"}, "page": 1},
        answers=answered("A page of what was found", bodies.MailSearchAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: MailSearchBody) -> None:
        """Return a page of the messages to which all criteria apply."""
        now_ms = self._now_ms()
        found = await self._page(criteria_filter(body.criteria, now_ms=now_ms), body)
        messages = [bodies.message_body(each, now_ms=now_ms) for each in found.mails]
        resp.data = encode(
            bodies.MailSearchAnswer(
                data=bodies.MailSearchData(messages, body.criteria),
                meta=meta(found.total, *page_of(body)),
            )
        )


class HistoryResource(MailResource[MailService]):
    """`/api/v1/queue/{message_id}/history`."""

    @operation(
        "Show what was done to a message",
        query=MailHistoryQuery,
        answers=answered("The newest first", bodies.MailHistoryAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHistoryQuery
    ) -> None:
        """Return what people did to a message through this server; it may be gone since."""
        deeds = await self._service.history(message_id, count=query.limit)
        history = [bodies.audit_body(each.entry, each.settled) for each in deeds]
        resp.data = encode(
            bodies.MailHistoryAnswer(data=bodies.MailHistoryData(message_id, history))
        )


class HostsResource(MailResource[MailService]):
    """`/api/v1/queue/hosts`."""

    @operation(
        "List the mail hosts",
        answers=answered("By name", bodies.MailHostsAnswer, REFUSALS),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return the hosts whose Exim is watched, and whether they show life."""
        now_ms = self._now_ms()
        hosts = [bodies.host_body(each, now_ms=now_ms) for each in await self._service.hosts()]
        resp.data = encode(bodies.MailHostsAnswer(data=bodies.MailHostsData(hosts)))
