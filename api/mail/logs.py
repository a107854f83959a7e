"""The main logs of all hosts: lists, searches, the newest, what to take away, numbers."""

import time
from dataclasses import replace
from typing import Final

from falcon.asgi import Request, Response

from api.mail import log_bodies as bodies
from api.mail.envelopes import encode, meta
from api.mail.log_queries import (
    MailCorrelationBody,
    MailExportQuery,
    MailLogQuery,
    MailLogSearchBody,
    MailPeriodQuery,
    MailSimilarQuery,
    MailTailQuery,
    log_page_of,
    period_of,
)
from api.mail.resources import INVALID, OF_MESSAGE, OF_VALUES, REFUSALS, USERS, MailResource
from api.openapi.operations import Answer, answered, operation
from models.clock import iso_utc
from models.mail.log_service import EXPORTED_MAX, LogService
from models.mail.log_views import LoggedLine, LogSortBy

_WEEK_DAYS: Final = 7


class LogsResource(MailResource[LogService]):
    """`/api/v1/logs`."""

    @operation(
        "List lines of the logs",
        query=MailLogQuery,
        answers=answered("A page of them", bodies.MailLogAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailLogQuery) -> None:
        """Return a page of the lines of all main logs, the newest first."""
        began_ns = time.perf_counter_ns()
        page, per_page = log_page_of(query)
        found = await self._service.page(
            query.filter(),
            sort_by=LogSortBy(query.sort_by),
            descending=query.sort_order == "desc",
            page=page,
            per_page=per_page,
        )
        resp.data = encode(
            bodies.MailLogAnswer(
                data=bodies.MailLogData(
                    entries=bodies.entries(found.lines),
                    search_time=_took(began_ns),
                    aggregations=bodies.aggregations(found.aggregations),
                ),
                meta=meta(found.total, page, per_page),
            )
        )


class LogSearchResource(MailResource[LogService]):
    """`/api/v1/logs/search`."""

    @operation(
        "Search the logs",
        body=MailLogSearchBody,
        body_example={"criteria": {"keywords": ["timed out"], "events": ["defer"]}, "page": 1},
        answers=answered("A page of what was found", bodies.MailLogAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: MailLogSearchBody) -> None:
        """Return a page of the lines to which all criteria apply."""
        began_ns = time.perf_counter_ns()
        page, per_page = log_page_of(body)
        found = await self._service.page(
            body.criteria.filter(),
            sort_by=LogSortBy(body.criteria.sort_by or LogSortBy.TIMESTAMP),
            descending=body.criteria.sort_order != "asc",
            page=page,
            per_page=per_page,
        )
        resp.data = encode(
            bodies.MailLogAnswer(
                data=bodies.MailLogData(
                    entries=bodies.entries(found.lines),
                    search_time=_took(began_ns),
                    aggregations=bodies.aggregations(found.aggregations),
                    criteria=body.criteria,
                ),
                meta=meta(found.total, page, per_page),
            )
        )


class LogTailResource(MailResource[LogService]):
    """`/api/v1/logs/tail`."""

    @operation(
        "Show the newest lines of the logs",
        query=MailTailQuery,
        answers=answered("In the order of the log", bodies.MailTailAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailTailQuery) -> None:
        """Return the newest lines; `after` is the `last_id` of the answer before, to follow on."""
        wanted = replace(query.filter(), after_id=query.after)
        found = await self._service.newest(wanted, count=query.limit)
        asked = {
            "message_id": query.message_id or "",
            "log_type": query.log_type or "",
            "event": query.event or "",
            "keywords": query.keywords or query.keyword or "",
        }
        last_id = max((each.id for each in found), default=query.after or 0)
        resp.data = encode(
            bodies.MailTailAnswer(
                data=bodies.MailTailData(
                    entries=bodies.entries(found),
                    last_id=last_id,
                    message="The newest lines; ask with after=last_id for what follows",
                    filters=asked,
                )
            )
        )


class LogExportResource(MailResource[LogService]):
    """`/api/v1/logs/export`."""

    @operation(
        "Take lines of the logs away",
        query=MailExportQuery,
        answers={
            200: Answer(
                description="As JSON, CSV or text",
                body=bodies.MailExportAnswer,
                also_as=("text/csv", "text/plain"),
            ),
            400: INVALID,
            **REFUSALS,
        },
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailExportQuery) -> None:
        """Return the newest 10,000 lines that a filter finds, the oldest first."""
        began_ns = time.perf_counter_ns()
        found = await self._service.newest(query.filter(), count=EXPORTED_MAX)
        if query.format == "json":
            resp.data = encode(
                bodies.MailExportAnswer(
                    data=bodies.MailExportData(
                        format=query.format,
                        entries=bodies.entries(found),
                        total_count=len(found),
                        export_time=iso_utc(self._now_ms()),
                        search_time=_took(began_ns),
                    )
                )
            )
            return
        self._attach(resp, found, query.format)

    def _attach(self, resp: Response, found: list[LoggedLine], form: str) -> None:
        is_csv = form == "csv"
        resp.content_type = f"text/{'csv' if is_csv else 'plain'}; charset=utf-8"
        resp.downloadable_as = f"exim-log.{form}"
        text = bodies.as_csv(found) if is_csv else "".join(f"{x.line.text}\n" for x in found)
        resp.data = text.encode("utf-8", "replace")


class LogStatisticsResource(MailResource[LogService]):
    """`/api/v1/logs/statistics`."""

    @operation(
        "Count the lines of the logs",
        query=MailPeriodQuery,
        answers=answered("By kinds", bodies.MailLogStatisticsAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailPeriodQuery) -> None:
        """Return how many lines there are of each kind, in the last seven days by default."""
        from_ms, to_ms = period_of(query, days=_WEEK_DAYS, now_ms=self._now_ms())
        events = await self._service.events(from_ms=from_ms, to_ms=to_ms)
        resp.data = encode(
            bodies.MailLogStatisticsAnswer(data=bodies.statistics(events, from_ms, to_ms))
        )


class LogServiceResource(MailResource[LogService]):
    """`/api/v1/logs/service/status`."""

    @operation(
        "Say whether the logs are read",
        answers=answered("By hosts", bodies.MailLogServiceAnswer, REFUSALS),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return how each host's log is read, and what is in the way."""
        status = bodies.service_status(await self._service.sources(), now_ms=self._now_ms())
        resp.data = encode(bodies.MailLogServiceAnswer(data=status))


class LogCorrelationResource(MailResource[LogService]):
    """`/api/v1/logs/correlation/trigger`."""

    @operation(
        "Put lines of the logs together anew",
        body=MailCorrelationBody,
        body_example={"start_time": "2026-01-01T00:00:00Z", "end_time": "2026-01-02T00:00:00Z"},
        answers=answered("It was done", bodies.MailTriggeredAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_post(self, _req: Request, resp: Response, *, body: MailCorrelationBody) -> None:
        """Give attempts the sender of their message where its arrival was read later."""
        asked = MailPeriodQuery(start_time=body.start_time, end_time=body.end_time)
        from_ms, to_ms = period_of(asked, days=_WEEK_DAYS, now_ms=self._now_ms())
        updated = await self._service.fill_in(from_ms=from_ms, to_ms=to_ms)
        resp.data = encode(
            bodies.MailTriggeredAnswer(
                data=bodies.MailTriggered(
                    message="Correlation triggered successfully",
                    start_time=body.start_time,
                    end_time=body.end_time,
                    updated=updated,
                )
            )
        )


class LogHistoryResource(MailResource[LogService]):
    """`/api/v1/logs/messages/{message_id}/history`."""

    @operation(
        "Show what the logs say of a message",
        answers=answered("The oldest first", bodies.MailLogHistoryAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, message_id: str) -> None:
        """Return the lines of a message, whether or not it is in a queue still."""
        found = await self._service.of_message(message_id)
        data = bodies.MailLogHistoryData(message_id, bodies.entries(found))
        resp.data = encode(bodies.MailLogHistoryAnswer(data=data))


class LogSimilarResource(MailResource[LogService]):
    """`/api/v1/logs/messages/{message_id}/similar`."""

    @operation(
        "Show other messages of the same sender",
        query=MailSimilarQuery,
        answers=answered("The newest first", bodies.MailSimilarAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailSimilarQuery
    ) -> None:
        """Return how other messages of the same sender arrived."""
        found = await self._service.similar(message_id, count=query.limit)
        data = bodies.MailSimilarData(message_id, bodies.entries(found), len(found))
        resp.data = encode(bodies.MailSimilarAnswer(data=data))


def _took(began_ns: int) -> str:
    """Return how long something took, as `1.5ms`."""
    return f"{(time.perf_counter_ns() - began_ns) / 1_000_000:.3f}ms"
