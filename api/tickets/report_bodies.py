"""The wire of reports on a hall. Minutes have one decimal, shares three; null: nothing to say."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from math import exp
from typing import Any, ClassVar, Literal

from msgspec import Struct

from api.http.reading import Body
from api.http.spreadsheets import plain
from api.tickets.bodies import Id, moment
from models.tickets.calibrations import NOMINAL
from models.tickets.facts import seconds_utc
from models.tickets.reports import Span
from models.tickets.rules import Calibration, Counter, CounterStatus, Ticket, number_text
from models.tickets.summaries import Accuracy, Load, Outcome, Tally, classes

# A spreadsheet runs what begins like this.


class ReportQuery(Body, frozen=True, kw_only=True):
    """Of which branch (the first) and business days (today); `to` is included."""

    SPELLINGS: ClassVar = {"from": "first", "to": "last"}

    branch_id: Id | None = None
    first: date | None = None
    last: date | None = None


class RowsQuery(ReportQuery, frozen=True, kw_only=True):
    """The same, as a table."""

    format: Literal["csv"] = "csv"


class UnprintedQuery(Body, frozen=True, kw_only=True):
    """Of which branch; of all without."""

    branch_id: Id | None = None


class TallyView(Struct, frozen=True, kw_only=True):
    """What is counted of some tickets."""

    tickets: int
    served: int
    no_shows: int
    abandoned: int
    cancelled: int
    waiting: int
    longest_waiting_minutes: float
    abandonment_rate: float | None
    utilisation: float | None
    mean_wait_minutes: float | None
    p90_wait_minutes: float | None
    longest_wait_minutes: float | None
    mean_service_minutes: float | None
    rated: int
    mean_rating: float | None


class CounterTally(TallyView, frozen=True, kw_only=True):
    """The same of a counter."""

    counter_id: int
    counter_name: str
    status: CounterStatus


class DayTally(TallyView, frozen=True, kw_only=True):
    """The same of a business day."""

    day: str


class HourTally(TallyView, frozen=True, kw_only=True):
    """The same of an hour of the local day, by when tickets were taken."""

    hour: int


class LoadView(Struct, frozen=True, kw_only=True):
    """How busy a hall was."""

    branch_id: int
    branch_name: str
    first_day: str
    last_day: str
    totals: TallyView
    counters: list[CounterTally]
    days: list[DayTally]
    hours: list[HourTally]
    peak_hours: list[int]


class CalibrationView(Struct, frozen=True, kw_only=True):
    """What estimates are multiplied by, learnt from so many outcomes."""

    outcomes: int
    low: float
    middle: float
    high: float


class AccuracyClass(Struct, frozen=True, kw_only=True):
    """How good estimates were for people with so many ahead; `ahead_to` null: without end."""

    ahead_from: int
    ahead_to: int | None
    outcomes: int
    mean_absolute_error_minutes: float | None
    bias_minutes: float | None
    coverage: float | None
    calibration: CalibrationView | None


class OutcomeView(Struct, frozen=True, kw_only=True):
    """An estimate and what came of it."""

    number: int
    counter_id: int
    created_at: str
    ahead: int
    estimated_minutes: int
    low_minutes: int
    high_minutes: int
    real_minutes: float


class AccuracyView(Struct, frozen=True, kw_only=True):
    """How good estimates were; `nominal` is the coverage that is promised."""

    branch_id: int
    branch_name: str
    first_day: str
    last_day: str
    outcomes: int
    pending: int
    mean_absolute_error_minutes: float | None
    bias_minutes: float | None
    coverage: float | None
    nominal: float
    classes: list[AccuracyClass]
    recent: list[OutcomeView]


class UnprintedTicket(Struct, frozen=True, kw_only=True):
    """A ticket whose paper failed, with what a new paper needs."""

    id: int
    public_id: str
    number: int
    number_text: str
    counter_id: int
    branch_id: int
    procedure_name: str | None
    created_at: str


class UnprintedList(Struct, frozen=True):
    """Open tickets whose paper failed."""

    tickets: list[UnprintedTicket]


def load_view(span: Span, load: Load, counters: Sequence[Counter]) -> LoadView:
    """Show how busy a hall was: each of its counters, and the days and hours with tickets."""
    return LoadView(
        branch_id=span.branch.id,
        branch_name=span.branch.name,
        first_day=span.first_day,
        last_day=span.last_day,
        totals=TallyView(**_tally(load.all)),
        counters=[
            CounterTally(
                counter_id=each.id,
                counter_name=each.name,
                status=each.status,
                **_tally(load.counters.get(each.id, Tally())),
            )
            for each in counters
        ],
        days=[DayTally(day=day, **_tally(each)) for day, each in sorted(load.days.items())],
        hours=[HourTally(hour=hour, **_tally(each)) for hour, each in sorted(load.hours.items())],
        peak_hours=load.peak_hours,
    )


def accuracy_view(
    span: Span, accuracy: Accuracy, calibrations: Mapping[int, Calibration]
) -> AccuracyView:
    """Show how good estimates were."""
    return AccuracyView(
        branch_id=span.branch.id,
        branch_name=span.branch.name,
        first_day=span.first_day,
        last_day=span.last_day,
        outcomes=len(accuracy.outcomes),
        pending=accuracy.pending,
        mean_absolute_error_minutes=_tenths(accuracy.error_min),
        bias_minutes=_tenths(accuracy.bias_min),
        coverage=_share(accuracy.coverage),
        nominal=NOMINAL,
        classes=[
            _class(begin, end, accuracy.of_class(begin), calibrations.get(begin))
            for begin, end in classes()
        ],
        recent=[_outcome(each) for each in accuracy.recent],
    )


def unprinted_list(found: Sequence[Ticket]) -> UnprintedList:
    """Show tickets whose paper failed."""
    return UnprintedList(
        [
            UnprintedTicket(
                id=each.id,
                public_id=each.public_id,
                number=each.number,
                number_text=number_text(each.number),
                counter_id=each.counter_id,
                branch_id=each.branch_id,
                procedure_name=each.procedure_name,
                created_at=seconds_utc(each.created_at_ms),
            )
            for each in found
        ]
    )


def tickets_csv(rows: Iterable[Any]) -> str:
    """Return tickets as a table with a head; what is not known is empty, unrated is unrated."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\r\n")
    for index, row in enumerate(rows):
        cells = _cells(row)
        if index == 0:
            table.writerow(cells)
        table.writerow([plain(each) for each in cells.values()])
    return text.getvalue()


def _cells(row: Any) -> dict[str, object]:
    return {
        "id": row.id,
        "number": number_text(row.number),
        "business_day": row.business_day,
        "counter": row.counter_name,
        "procedure": row.procedure_name,
        "priority": row.priority,
        "status": row.status,
        "completion_reason": row.completion_reason,
        "created_at": moment(row.created_at_ms),
        "first_called_at": moment(row.first_called_at_ms),
        "served_at": moment(row.served_at_ms),
        "completed_at": moment(row.completed_at_ms),
        "calls": row.call_count,
        "service_seconds": row.service_s,
        "estimated_minutes": row.estimated_min,
        "rating": row.rating,
        "rating_comment": row.rating_comment,
        "notes": row.notes,
        "updated_by": row.updated_by_username,
    }


def _tally(tally: Tally) -> dict[str, Any]:
    return {
        "tickets": tally.tickets,
        "served": tally.served,
        "no_shows": tally.no_shows,
        "abandoned": tally.abandoned,
        "cancelled": tally.cancelled,
        "waiting": tally.waiting,
        "longest_waiting_minutes": round(tally.longest_waiting_min, 1),
        "abandonment_rate": _share(tally.abandonment_rate),
        "utilisation": _share(tally.utilisation),
        "mean_wait_minutes": _tenths(tally.mean_wait_min),
        "p90_wait_minutes": _tenths(tally.p90_wait_min),
        "longest_wait_minutes": _tenths(tally.longest_wait_min),
        "mean_service_minutes": _tenths(tally.mean_service_min),
        "rated": len(tally.ratings),
        "mean_rating": _tenths(tally.mean_rating),
    }


def _class(
    begin: int, end: int | None, accuracy: Accuracy, calibration: Calibration | None
) -> AccuracyClass:
    return AccuracyClass(
        ahead_from=begin,
        ahead_to=end,
        outcomes=len(accuracy.outcomes),
        mean_absolute_error_minutes=_tenths(accuracy.error_min),
        bias_minutes=_tenths(accuracy.bias_min),
        coverage=_share(accuracy.coverage),
        calibration=None if calibration is None else _calibration(calibration),
    )


def _calibration(known: Calibration) -> CalibrationView:
    low, middle, high = (round(exp(each), 3) for each in (known.low, known.middle, known.high))
    return CalibrationView(outcomes=known.outcomes, low=low, middle=middle, high=high)


def _outcome(each: Outcome) -> OutcomeView:
    return OutcomeView(
        number=each.number,
        counter_id=each.counter_id,
        created_at=seconds_utc(each.created_at_ms),
        ahead=each.ahead,
        estimated_minutes=each.estimated_min,
        low_minutes=each.low_min,
        high_minutes=each.high_min,
        real_minutes=round(each.real_min, 1),
    )


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
