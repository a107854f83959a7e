"""The wire of schedules: what comes in, what goes out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Final
from zoneinfo import ZoneInfo

import msgspec
from msgspec import UNSET, Meta, Raw, Struct, UnsetType

from api.http.reading import Body
from api.messages import bodies as wire
from api.messages.bounds import MessageBounds
from models.messages.rules import NewMessage
from models.schedules.rules import (
    EVERY_MAX_S,
    NAME_PATTERN,
    TIMEZONE_DEFAULT,
    CatchUp,
    Plan,
    Schedule,
    Timing,
)

CronLine = Annotated[str, Meta(max_length=255, description="minute hour day month weekday")]
Every = Annotated[int, Meta(ge=1, le=EVERY_MAX_S)]
Zone = Annotated[str, Meta(max_length=64, description="a name such as Europe/Berlin")]
Moment = Annotated[datetime, Meta(tz=True)]
ScheduleName = Annotated[str, Meta(pattern=NAME_PATTERN)]
_BODY_FIELDS: Final = tuple(field.name for field in msgspec.structs.fields(wire.NewMessageBody))
_SPELLINGS: Final = {
    "everySeconds": "every_seconds",
    "every": "every_seconds",
    "timeZone": "timezone",
    "catchUp": "catch_up",
    "startsAt": "starts_at",
    "start": "starts_at",
    "endsAt": "ends_at",
    "end": "ends_at",
}


class ScheduleBody(Body, frozen=True, kw_only=True):
    """When a message is put in, by one of `cron` and `every_seconds`, and which."""

    SPELLINGS: ClassVar[Mapping[str, str]] = _SPELLINGS

    message: wire.NewMessageBody
    cron: CronLine | None = None
    every_seconds: Every | None = None
    timezone: Zone = TIMEZONE_DEFAULT
    paused: bool = False
    catch_up: CatchUp = CatchUp.NONE
    starts_at: Moment | None = None
    ends_at: Moment | None = None

    def plan(self, bounds: MessageBounds) -> Plan:
        """Return it in our words; raises InvalidError."""
        return Plan(
            timing=Timing(
                cron=self.cron,
                every_ms=_milliseconds(self.every_seconds),
                timezone=self.timezone,
                starts_at_ms=_moment_ms(self.starts_at),
                ends_at_ms=_moment_ms(self.ends_at),
            ),
            message=bounds.new_message(self.message, "message."),
            paused=self.paused,
            catch_up=self.catch_up,
        )


class NewScheduleBody(ScheduleBody, frozen=True, kw_only=True):
    """A schedule to make."""

    name: ScheduleName


class ScheduleChangeBody(Body, frozen=True, kw_only=True):
    """What to change: a missing field stays; `cron` and `every_seconds` replace each other."""

    SPELLINGS: ClassVar[Mapping[str, str]] = _SPELLINGS

    message: wire.NewMessageBody | UnsetType = UNSET
    cron: CronLine | UnsetType | None = UNSET
    every_seconds: Every | UnsetType | None = UNSET
    timezone: Zone | UnsetType = UNSET
    paused: bool | UnsetType = UNSET
    catch_up: CatchUp | UnsetType = UNSET
    starts_at: Moment | UnsetType | None = UNSET
    ends_at: Moment | UnsetType | None = UNSET

    def changes(self, bounds: MessageBounds) -> dict[str, Any]:
        """Return what changes, in our words; raises InvalidError."""
        every, message = self.every_seconds, self.message
        changes: dict[str, Any] = {
            "cron": self.cron,
            "timezone": self.timezone,
            "paused": self.paused,
            "catch_up": self.catch_up,
            "every_ms": UNSET if every is UNSET else _milliseconds(every),
            "starts_at_ms": UNSET if self.starts_at is UNSET else _moment_ms(self.starts_at),
            "ends_at_ms": UNSET if self.ends_at is UNSET else _moment_ms(self.ends_at),
            "message": UNSET if message is UNSET else bounds.new_message(message, "message."),
        }
        return {name: value for name, value in changes.items() if value is not UNSET}


class SchedulePageQuery(Body, frozen=True):
    """Which page of the list: so many, behind this name."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 100
    after: Annotated[str, Meta(max_length=128, pattern=r"^[!-~]*$")] = ""


class ScheduleNextQuery(Body, frozen=True):
    """How many moments to show."""

    count: Annotated[int, Meta(ge=1, le=100)] = 5


class ScheduleView(Struct, frozen=True, kw_only=True):
    """A schedule and how it fares; `message` is not in lists."""

    name: str
    cron: str | None
    every_seconds: int | None
    timezone: str
    paused: bool
    catch_up: CatchUp
    starts_at: str | None
    ends_at: str | None
    next_run_at: str | None
    last_run_at: str | None
    runs: int
    failures: int
    last_error: str | None
    last_error_at: str | None
    created_at: str
    updated_at: str
    queue: str
    type: str | None
    message: wire.NewMessageBody | UnsetType = UNSET


class ScheduleList(Struct, frozen=True):
    """A page of schedules by name; `next` is the `after` of the next page, null on the last."""

    schedules: list[ScheduleView]
    next: str | None


class NextMoment(Struct, frozen=True):
    """A moment in UTC, and as clocks show it in the schedule's zone."""

    at: str
    local: str


class NextMoments(Struct, frozen=True):
    """The next moments of a schedule; those of a paused one come if it goes on now."""

    name: str
    timezone: str
    paused: bool
    next: list[NextMoment]


class ScheduleDeleted(Struct, frozen=True):
    """A schedule that is gone; the messages that it put in stay."""

    name: str


def view(schedule: Schedule, *, in_list: bool = False) -> ScheduleView:
    """Show a schedule."""
    plan, timing = schedule.plan, schedule.plan.timing
    return ScheduleView(
        name=schedule.name,
        cron=timing.cron,
        every_seconds=None if timing.every_ms is None else timing.every_ms // 1000,
        timezone=timing.timezone,
        paused=plan.paused,
        catch_up=plan.catch_up,
        starts_at=wire.moment_or_none(timing.starts_at_ms),
        ends_at=wire.moment_or_none(timing.ends_at_ms),
        next_run_at=wire.moment_or_none(schedule.next_run_ms),
        last_run_at=wire.moment_or_none(schedule.last_run_ms),
        runs=schedule.runs,
        failures=schedule.failures,
        last_error=schedule.last_error,
        last_error_at=wire.moment_or_none(schedule.last_error_at_ms),
        created_at=wire.moment(schedule.created_at_ms),
        updated_at=wire.moment(schedule.updated_at_ms),
        queue=plan.message.queue,
        type=plan.message.type,
        message=UNSET if in_list else message_body(plan.message),
    )


def next_moments(schedule: Schedule, moments: list[int]) -> NextMoments:
    """Show the next moments of a schedule."""
    timezone = schedule.plan.timing.timezone
    zone = ZoneInfo(timezone)
    return NextMoments(
        name=schedule.name,
        timezone=timezone,
        paused=schedule.plan.paused,
        next=[
            NextMoment(
                wire.moment(each),
                datetime.fromtimestamp(each / 1000, UTC).astimezone(zone).isoformat(),
            )
            for each in moments
        ],
    )


def message_body(message: NewMessage) -> wire.NewMessageBody:
    """Return a message in the words in which it came."""
    same = [name for name in _BODY_FIELDS if name in NewMessage.__struct_fields__]
    values = {name: getattr(message, name) for name in same}
    values["payload"] = Raw(message.payload.encode())
    values["delay_seconds"] = message.delay_ms // 1000
    if message.lease_ms is not None:
        values["ack_timeout_seconds"] = message.lease_ms // 1000
    if message.once is not None:
        values["dedup_id"] = message.once.key
        values["dedup_seconds"] = message.once.keep_ms // 1000
        values["dedup_replace"] = message.once.replaces
    return wire.NewMessageBody(**values)


def _milliseconds(seconds: int | None) -> int | None:
    return None if seconds is None else seconds * 1000


def _moment_ms(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
