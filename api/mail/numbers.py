"""All queues in numbers: how they are, what their messages have in common, how they went."""

from typing import Annotated, Final, Literal

from falcon.asgi import Request, Response
from msgspec import Meta, Struct

from api.mail import number_bodies as bodies
from api.mail.envelopes import encode
from api.mail.moments import iso_seconds
from api.mail.queries import (
    MailListQuery,
)
from api.mail.resources import OF_VALUES, REFUSALS, USERS, MailResource
from api.openapi.operations import answered, operation
from models.mail.service import MailService
from models.mail.views import GroupBy

_POINTS_MAX: Final = 500
_MINUTES_MAX: Final = 10_080


class MailGroupsQuery(MailListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to group by, of which messages; pages and orders are not looked at."""

    by: Literal["sender", "sender_domain", "recipient_domain", "reason", "host"]
    limit: Annotated[int, Meta(ge=1, le=1000)] = 50


class MailTrendQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How far back."""

    minutes: Annotated[int, Meta(ge=1, le=_MINUTES_MAX)] = 60


class GroupsResource(MailResource[MailService]):
    """`/api/v1/queue/groups`."""

    @operation(
        "Group the messages",
        query=MailGroupsQuery,
        answers=answered("The largest groups first", bodies.MailGroupsAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailGroupsQuery) -> None:
        """Return what the messages that a filter finds have in common.

        A message to several domains counts in each; what has nothing to be grouped by in none.
        """
        wanted = query.filter(now_ms=self._now_ms())
        found = await self._service.groups(wanted, by=GroupBy(query.by), limit=query.limit)
        groups = [
            bodies.MailGroupBody(
                value=each.value,
                messages=each.messages,
                size=each.size_bytes,
                oldest=iso_seconds(each.oldest_at_ms),
            )
            for each in found
        ]
        resp.data = encode(
            bodies.MailGroupsAnswer(data=bodies.MailGroupsData(by=query.by, groups=groups))
        )


class TrendResource(MailResource[MailService]):
    """`/api/v1/queue/trend`."""

    @operation(
        "Say how the queues went",
        query=MailTrendQuery,
        answers=answered("Samples, the oldest first", bodies.MailTrendAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailTrendQuery) -> None:
        """Return what all queues held, minute by minute; more than 500 samples are thinned."""
        from_ms = self._now_ms() - query.minutes * 60_000
        found = await self._service.samples(from_ms=from_ms, count_max=_POINTS_MAX)
        samples = [
            bodies.MailSampleBody(
                timestamp=iso_seconds(each.at_ms),
                messages=each.messages,
                deferred=each.deferred,
                frozen=each.frozen,
                size=each.size_bytes,
                oldest_age=max(each.at_ms - (each.oldest_at_ms or each.at_ms), 0) // 1000,
            )
            for each in found
        ]
        resp.data = encode(bodies.MailTrendAnswer(data=bodies.MailTrendData(samples=samples)))


class HealthResource(MailResource[MailService]):
    """`/api/v1/queue/health`."""

    @operation(
        "Say how the queues are",
        answers=answered("So", bodies.MailHealthAnswer, REFUSALS),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return how many messages wait, since when, and how that went within the last hour."""
        now_ms = self._now_ms()
        totals = await self._service.totals()
        trend = await self._service.trend(now_ms=now_ms)
        resp.data = encode(
            bodies.MailHealthAnswer(data=bodies.health_data(totals, trend, now_ms=now_ms))
        )


class StatisticsResource(MailResource[MailService]):
    """`/api/v1/queue/statistics`."""

    @operation(
        "Count the messages",
        answers=answered("The numbers", bodies.MailStatisticsAnswer, REFUSALS),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return how many messages there are by status and by size."""
        now_ms = self._now_ms()
        totals, sizes = await self._service.totals(), await self._service.sizes()
        resp.data = encode(
            bodies.MailStatisticsAnswer(data=bodies.statistics_data(totals, sizes, now_ms=now_ms))
        )
