"""The wire of halls: branches, counters and procedures."""

from datetime import datetime
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta, Struct, UnsetType, structs

from api.http.reading import Body
from api.tickets.bodies import Id, moment
from models.errors import InvalidError
from models.tickets.estimates import average_service_min
from models.tickets.rules import (
    Branch,
    Counter,
    CounterStatus,
    Desk,
    Numbering,
    Policy,
    Priority,
    Procedure,
    Ticket,
    number_text,
)

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HOUR_MIN: Final = 60
_CLOCK: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_CLOCK_END: Final = r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$"

Name = Annotated[str, Meta(min_length=1, max_length=255)]
Reason = Annotated[str, Meta(max_length=500)]
NumberFirst = Annotated[int, Meta(ge=1, le=9_000)]
Start = Annotated[str, Meta(pattern=_CLOCK)]
End = Annotated[str, Meta(pattern=_CLOCK_END)]
Spans = tuple[tuple[Start, End], ...]
Moment = Annotated[datetime, Meta(tz=True)]
ServiceMinutes = Annotated[int, Meta(ge=1, le=1_440)]


class OpeningBody(Body, frozen=True, kw_only=True):
    """When tickets are handed out, for each day by the branch's clock; a day left out is closed."""

    mon: Spans = ()
    tue: Spans = ()
    wed: Spans = ()
    thu: Spans = ()
    fri: Spans = ()
    sat: Spans = ()
    sun: Spans = ()


class BranchBody(Body, frozen=True, kw_only=True):
    """A branch, or what to change about it; `opening` null is always."""

    name: Name | UnsetType = UNSET
    timezone: Annotated[str, Meta(max_length=64)] | UnsetType = UNSET
    reset_at: Start | UnsetType = UNSET
    numbering: Numbering | UnsetType = UNSET
    number_first: NumberFirst | UnsetType = UNSET
    opening: OpeningBody | UnsetType | None = UNSET

    def values(self) -> dict[str, Any]:
        """Return what is given, in our words."""
        values = given(self)
        if self.reset_at is not UNSET:
            values["reset_minute"] = _minute(values.pop("reset_at"))
        if self.opening is not UNSET and self.opening is not None:
            values["opening"] = tuple(
                tuple((_minute(start), _minute(end)) for start, end in getattr(self.opening, day))
                for day in _DAYS
            )
        return values


class NewCounterBody(Body, frozen=True, kw_only=True):
    """A counter to make; without a branch it stands in the first one."""

    name: Name
    branch_id: Id | None = None
    policy: Policy | UnsetType = UNSET
    number_first: NumberFirst | UnsetType = UNSET


class CounterBody(Body, frozen=True, kw_only=True):
    """What to change about a counter; `offline` closes it, `active` opens it."""

    name: Name | UnsetType = UNSET
    status: CounterStatus | UnsetType = UNSET
    policy: Policy | UnsetType = UNSET
    number_first: NumberFirst | UnsetType = UNSET

    def values(self) -> dict[str, Any]:
        """Return what is given; raises InvalidError for a pause, which has its own path."""
        if self.status is CounterStatus.PAUSED:
            raise InvalidError({"status": "Expected active or offline; POST …/pause pauses"})
        return given(self)


class PauseBody(Body, frozen=True, kw_only=True):
    """Why a counter pauses, and until when, as far as known."""

    reason: Reason | None = None
    until: Moment | None = None


class ProcedureBody(Body, frozen=True, kw_only=True):
    """A procedure, or what to change about it; no counters: any counter does it."""

    name: Name | UnsetType = UNSET
    service_minutes: ServiceMinutes | UnsetType = UNSET
    is_active: bool | UnsetType = UNSET
    counter_ids: Annotated[list[Id], Meta(max_length=500)] | UnsetType = UNSET

    def values(self) -> dict[str, Any]:
        """Return what is given, in our words."""
        values = given(self)
        if "service_minutes" in values:
            values["service_min"] = values.pop("service_minutes")
        return values


class ProcedureQuery(Body, frozen=True, kw_only=True):
    """What to look for, and whether what is no longer offered shows too."""

    search: Annotated[str, Meta(max_length=200)] = ""
    counter_id: Id | None = None
    include_inactive: bool = False


class CounterQuery(Body, frozen=True, kw_only=True):
    """Of which branch."""

    branch_id: Id | None = None


class OpeningView(Struct, frozen=True, kw_only=True):
    """Opening hours, for each day."""

    mon: list[tuple[str, str]]
    tue: list[tuple[str, str]]
    wed: list[tuple[str, str]]
    thu: list[tuple[str, str]]
    fri: list[tuple[str, str]]
    sat: list[tuple[str, str]]
    sun: list[tuple[str, str]]


class BranchView(Struct, frozen=True, kw_only=True):
    """A branch."""

    id: int
    name: str
    timezone: str
    reset_at: str
    numbering: Numbering
    number_first: int
    opening: OpeningView | None
    is_open: bool


class BranchList(Struct, frozen=True):
    """All branches."""

    branches: list[BranchView]


class DeskTicket(Struct, frozen=True, kw_only=True):
    """Somebody at a counter, or set aside there."""

    ticket_id: int
    number: int
    number_text: str
    priority: Priority
    status: str
    call_count: int
    procedure_name: str | None


class CounterView(Struct, frozen=True, kw_only=True):
    """A counter and who is there."""

    id: int
    name: str
    branch_id: int
    status: CounterStatus
    pause_reason: str | None
    paused_until: str | None
    policy: Policy
    number_first: int
    current_serving: int | None
    total_waiting: int
    average_service_time: int
    present: list[DeskTicket]
    parked: list[DeskTicket]


class CounterList(Struct, frozen=True):
    """Counters by age."""

    counters: list[CounterView]


class ServedAt(Struct, frozen=True):
    """A counter that does a procedure."""

    id: int
    name: str
    status: CounterStatus
    branch_id: int


class ProcedureView(Struct, frozen=True, kw_only=True):
    """A procedure and where it is done."""

    id: int
    name: str
    service_minutes: int
    is_active: bool
    counter_ids: list[int]
    counters: list[ServedAt]


class ProcedureList(Struct, frozen=True):
    """Procedures by name."""

    procedures: list[ProcedureView]


def given(body: Struct) -> dict[str, Any]:
    """Return the fields of a body that were given."""
    return {name: value for name, value in structs.asdict(body).items() if value is not UNSET}


def branch_view(branch: Branch, *, is_open: bool) -> BranchView:
    """Show a branch."""
    opening = branch.opening
    return BranchView(
        id=branch.id,
        name=branch.name,
        timezone=branch.timezone,
        reset_at=_clock(branch.reset_minute),
        numbering=branch.numbering,
        number_first=branch.number_first,
        opening=None
        if opening is None
        else OpeningView(
            **{
                day: [(_clock(start), _clock(end)) for start, end in spans]
                for day, spans in zip(_DAYS, opening, strict=True)
            }
        ),
        is_open=is_open,
    )


def counter_view(desk: Desk) -> CounterView:
    """Show a counter with everybody at it."""
    counter, current = desk.counter, desk.current
    return CounterView(
        id=counter.id,
        name=counter.name,
        branch_id=counter.branch_id,
        status=counter.status,
        pause_reason=counter.pause_reason,
        paused_until=moment(counter.paused_until_ms),
        policy=counter.policy,
        number_first=counter.number_first,
        current_serving=None if current is None else current.number,
        total_waiting=len(desk.waiting),
        average_service_time=average_service_min(desk),
        present=[_desk_ticket(each) for each in desk.present],
        parked=[_desk_ticket(each) for each in desk.parked],
    )


def procedure_view(procedure: Procedure, counters: dict[int, Counter]) -> ProcedureView:
    """Show a procedure with the counters that do it: all, where none is named."""
    does = procedure.counter_ids or tuple(counters)
    return ProcedureView(
        id=procedure.id,
        name=procedure.name,
        service_minutes=procedure.service_min,
        is_active=procedure.is_active,
        counter_ids=list(procedure.counter_ids),
        counters=[
            ServedAt(each.id, each.name, each.status, each.branch_id)
            for each in (counters[counter_id] for counter_id in does)
        ],
    )


def _desk_ticket(ticket: Ticket) -> DeskTicket:
    return DeskTicket(
        ticket_id=ticket.id,
        number=ticket.number,
        number_text=number_text(ticket.number),
        priority=ticket.priority,
        status=ticket.status.value,
        call_count=ticket.call_count,
        procedure_name=ticket.procedure_name,
    )


def _minute(clock: str) -> int:
    hours, minutes = clock.split(":")
    return int(hours) * _HOUR_MIN + int(minutes)


def _clock(minute: int) -> str:
    return f"{minute // _HOUR_MIN:02d}:{minute % _HOUR_MIN:02d}"
