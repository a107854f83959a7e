"""Reports on a hall over HTTP: its load, how good its estimates are, its tickets as a table."""

from collections.abc import Callable
from typing import Final

from falcon.asgi import Request, Response

from api.openapi.operations import Answer, operation
from api.people.bodies import TicketsError
from api.tickets import bodies as wire
from api.tickets import report_bodies as bodies
from models.tickets.reports import Reports

_HALL: Final = ("Bearer", "Session", "ApiKey")
_REFUSALS: Final = {
    400: Answer(description="A parameter is wrong, or too many days", body=TicketsError),
    401: Answer(description="Nobody is logged in", body=TicketsError),
    403: Answer(description="Not for this role", body=TicketsError),
    404: Answer(description="There is no such branch", body=TicketsError),
}


class _Resource:
    body_bytes_max = 0

    def __init__(self, reports: Reports, now_ms: Callable[[], int]) -> None:
        self._reports: Final = reports
        self._now_ms: Final = now_ms


class LoadResource(_Resource):
    """`/reports/load`."""

    @operation(
        "Show how busy a hall was",
        query=bodies.ReportQuery,
        answers={200: Answer(description="The load", body=bodies.LoadView), **_REFUSALS},
        security=_HALL,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: bodies.ReportQuery) -> None:
        """Return waits, services, utilisation and abandonment by counter, day and hour."""
        found = await self._reports.load(
            query.branch_id, query.first, query.last, now_ms=self._now_ms()
        )
        resp.data = wire.encode(bodies.load_view(*found))


class AccuracyResource(_Resource):
    """`/reports/accuracy`."""

    @operation(
        "Show how good estimates were",
        query=bodies.ReportQuery,
        answers={200: Answer(description="The accuracy", body=bodies.AccuracyView), **_REFUSALS},
        security=_HALL,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: bodies.ReportQuery) -> None:
        """Return error, bias and coverage of estimates against what people waited."""
        found = await self._reports.accuracy(
            query.branch_id, query.first, query.last, now_ms=self._now_ms()
        )
        resp.data = wire.encode(bodies.accuracy_view(*found))


class RowsResource(_Resource):
    """`/reports/tickets`."""

    @operation(
        "Download tickets as a table",
        query=bodies.RowsQuery,
        answers={
            200: Answer(description="The tickets, by age", media_type="text/csv"),
            **_REFUSALS,
        },
        security=_HALL,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: bodies.RowsQuery) -> None:
        """Return the tickets of some days as CSV in UTF-8, with a head unless there are none."""
        span, rows = await self._reports.rows(
            query.branch_id, query.first, query.last, now_ms=self._now_ms()
        )
        resp.content_type = "text/csv; charset=utf-8; header=present"
        name = f"tickets-{span.branch.id}-{span.first_day}-{span.last_day}.csv"
        resp.set_header("Content-Disposition", f'attachment; filename="{name}"')
        # The mark by which spreadsheets know that it is UTF-8.
        resp.text = f"\ufeff{bodies.tickets_csv(rows)}"


class UnprintedResource(_Resource):
    """`/reports/unprinted`."""

    @operation(
        "List tickets whose paper failed",
        query=bodies.UnprintedQuery,
        answers={
            200: Answer(description="Open ones, by age", body=bodies.UnprintedList),
            **_REFUSALS,
        },
        security=_HALL,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: bodies.UnprintedQuery) -> None:
        """Return open tickets whose paper failed, with what a new paper needs."""
        found = await self._reports.unprinted(query.branch_id)
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(bodies.unprinted_list(found))
