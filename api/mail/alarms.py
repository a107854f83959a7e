"""What somebody should look at: alarms that last, and above what they are raised."""

from collections.abc import Mapping, Sequence
from typing import Final

from falcon.asgi import Request, Response
from msgspec import Struct

from api.mail.envelopes import MailSuccess, encode
from api.mail.queue import REFUSALS, USERS, MailResource, Room
from api.operations import Answer, operation
from models.clock import iso_utc
from models.mail.alarms import Alarm, AlarmKind


class MailAlarmBody(Struct, frozen=True, kw_only=True):
    """An alarm; `value` is that of its beginning: messages, or seconds for `age` and `silence`."""

    kind: str
    host: str
    value: int
    threshold: int
    since: str
    message: str


class MailThresholds(Struct, frozen=True, kw_only=True):
    """Above what an alarm is raised for a host; 0: none is. `age` and `silence` are in seconds."""

    messages: int
    frozen: int
    age: int
    silence: int


class MailAlarmsData(Struct, frozen=True, kw_only=True):
    """Alarms that last, the oldest first."""

    alarms: Sequence[MailAlarmBody]
    thresholds: MailThresholds


class MailAlarmsAnswer(MailSuccess[MailAlarmsData], frozen=True):
    """What somebody should look at."""


class AlarmsResource(MailResource):
    """`/api/v1/queue/alarms`."""

    def __init__(self, room: Room, thresholds: Mapping[AlarmKind, int]) -> None:
        super().__init__(room)
        self._thresholds: Final = MailThresholds(
            messages=thresholds[AlarmKind.MESSAGES],
            frozen=thresholds[AlarmKind.FROZEN],
            age=thresholds[AlarmKind.AGE],
            silence=thresholds[AlarmKind.SILENCE],
        )

    @operation(
        "List the alarms",
        answers={200: Answer(description="The oldest first", body=MailAlarmsAnswer), **REFUSALS},
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return the alarms that last; they are looked after every ten seconds.

        An alarm is over below nine tenths of its threshold.
        """
        alarms = [_body(each) for each in await self._service.alarms()]
        data = MailAlarmsData(alarms=alarms, thresholds=self._thresholds)
        resp.data = encode(MailAlarmsAnswer(data=data))


def _body(alarm: Alarm) -> MailAlarmBody:
    return MailAlarmBody(
        kind=alarm.kind.value,
        host=alarm.host,
        value=alarm.value,
        threshold=alarm.threshold,
        since=iso_utc(alarm.since_ms),
        message=str(alarm),
    )
