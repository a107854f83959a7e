"""Reports on the mail of a span of time, and what a person looks at first."""

from typing import Final

from falcon.asgi import Request, Response
from msgspec.structs import replace

from api.mail import report_bodies as bodies
from api.mail.envelopes import encode
from api.mail.log_bodies import period
from api.mail.log_queries import (
    MailDomainsQuery,
    MailPeriodQuery,
    MailTopQuery,
    MailVolumeQuery,
    period_of,
)
from api.mail.resources import OF_VALUES, USERS, MailResource
from api.openapi.operations import answered, operation
from models.mail.report_service import ReportService, Step

_WEEK: Final = 7
_MONTH: Final = 30


class ReportResource(MailResource[ReportService]):
    """A resource of reports."""

    def _span(self, asked: MailPeriodQuery, days: int) -> tuple[int, int]:
        return period_of(asked, days=days, now_ms=self._now_ms())


class DeliverabilityResource(ReportResource):
    """`/api/v1/reports/deliverability`."""

    @operation(
        "Report what came of attempts",
        query=MailPeriodQuery,
        answers=answered("The last week", bodies.MailDeliverabilityAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailPeriodQuery) -> None:
        """Return how many attempts were delivered, deferred, bounced, and what was rejected."""
        from_ms, to_ms = self._span(query, _WEEK)
        found = await self._service.outcomes(from_ms=from_ms, to_ms=to_ms)
        data = bodies.deliverability(found, period(from_ms, to_ms))
        resp.data = encode(bodies.MailDeliverabilityAnswer(data=data))


class VolumeResource(ReportResource):
    """`/api/v1/reports/volume`."""

    @operation(
        "Report how many messages came",
        query=MailVolumeQuery,
        answers=answered("The last 30 days", bodies.MailVolumeAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailVolumeQuery) -> None:
        """Return how many messages came in each hour, day, week or month, of UTC."""
        from_ms, to_ms = self._span(query, _MONTH)
        series = await self._service.volume(Step(query.group_by), from_ms=from_ms, to_ms=to_ms)
        data = bodies.volume(series, query.group_by, period(from_ms, to_ms))
        resp.data = encode(bodies.MailVolumeAnswer(data=data))


class FailuresResource(ReportResource):
    """`/api/v1/reports/failures`."""

    @operation(
        "Report what failed",
        query=MailTopQuery,
        answers=answered("The last week", bodies.MailFailuresAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailTopQuery) -> None:
        """Return what failed by kinds, and the most frequent codes and reasons."""
        from_ms, to_ms = self._span(query, _WEEK)
        found = await self._service.outcomes(from_ms=from_ms, to_ms=to_ms, count=query.limit)
        data = bodies.failures(found, period(from_ms, to_ms))
        resp.data = encode(bodies.MailFailuresAnswer(data=data))


class TopSendersResource(ReportResource):
    """`/api/v1/reports/top-senders`."""

    @operation(
        "Report who sent most",
        query=MailTopQuery,
        answers=answered("The last week", bodies.MailTopSendersAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailTopQuery) -> None:
        """Return the senders of most messages."""
        from_ms, to_ms = self._span(query, _WEEK)
        found = await self._service.senders(from_ms=from_ms, to_ms=to_ms, count=query.limit)
        data = bodies.MailTopSenders(
            period=period(from_ms, to_ms), top_senders=[bodies.sender_stat(each) for each in found]
        )
        resp.data = encode(bodies.MailTopSendersAnswer(data=data))


class TopRecipientsResource(ReportResource):
    """`/api/v1/reports/top-recipients`."""

    @operation(
        "Report for whom most was",
        query=MailTopQuery,
        answers=answered("The last week", bodies.MailTopRecipientsAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailTopQuery) -> None:
        """Return the recipients of most messages, as attempts tell."""
        from_ms, to_ms = self._span(query, _WEEK)
        found = await self._service.recipients(from_ms=from_ms, to_ms=to_ms, count=query.limit)
        data = bodies.MailTopRecipients(
            period=period(from_ms, to_ms),
            top_recipients=[bodies.recipient_stat(each) for each in found],
        )
        resp.data = encode(bodies.MailTopRecipientsAnswer(data=data))


class DomainsResource(ReportResource):
    """`/api/v1/reports/domains`."""

    @operation(
        "Report on domains",
        query=MailDomainsQuery,
        answers=answered("The last week", bodies.MailDomainsAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailDomainsQuery) -> None:
        """Return the domains that send most, that get most, or both."""
        from_ms, to_ms = self._span(query, _WEEK)
        data = bodies.MailDomains(period=period(from_ms, to_ms), analysis_type=query.type)
        wanted = {"from_ms": from_ms, "to_ms": to_ms, "count": query.limit}
        if query.type != "recipient_domains":
            found = await self._service.sender_domains(**wanted)
            data = replace(data, sender_domains=[bodies.domain_stat(each) for each in found])
        if query.type != "sender_domains":
            found = await self._service.recipient_domains(**wanted)
            data = replace(data, recipient_domains=[bodies.domain_stat(each) for each in found])
        resp.data = encode(bodies.MailDomainsAnswer(data=data))


class WeekResource(ReportResource):
    """`/api/v1/reports/weekly-overview`."""

    @operation(
        "Report on the days of a week",
        query=MailPeriodQuery,
        answers=answered("The last seven days", bodies.MailWeekAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailPeriodQuery) -> None:
        """Return what happened on each day, of UTC; `pending` came then and waits still."""
        from_ms, to_ms = self._span(query, _WEEK - 1)
        found = await self._service.days(from_ms=from_ms, to_ms=to_ms)
        resp.data = encode(bodies.MailWeekAnswer(data=bodies.week(found)))
