"""What somebody should look at: alarms that last, and above what they are raised."""

from collections.abc import Sequence
from typing import Final

from falcon.asgi import Request, Response
from msgspec import Struct

from api.mail.envelopes import MailSuccess, encode
from api.mail.resources import REFUSALS, USERS, Ground, MailResource
from api.openapi.operations import answered, operation
from models.clock import iso_utc
from models.mail.alarms import Alarm
from models.mail.service import MailService


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


class AlarmsResource(MailResource[MailService]):
    """`/api/v1/queue/alarms`."""

    def __init__(self, ground: Ground[MailService], thresholds: MailThresholds) -> None:
        super().__init__(ground)
        self._thresholds: Final = thresholds

    @operation(
        "List the alarms",
        answers=answered("The oldest first", MailAlarmsAnswer, REFUSALS),
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
