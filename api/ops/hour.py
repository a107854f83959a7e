"""`GET /api/ops/hour`: the last hour of every domain, minute by minute."""

from collections.abc import Callable
from typing import Final

import msgspec
from falcon.asgi import Request, Response

from api.openapi.operations import Answer, operation
from api.ops.bodies import HourView, MinuteView
from models import pulse
from models.clock import iso_utc
from models.database import Database

DOMAINS: Final = ("messages", "rooms", "mail", "tickets")
_MINUTES: Final = 60
_encode: Final = msgspec.json.Encoder().encode


class Hour:
    """Reads what workers keep of each minute."""

    def __init__(self, database: Database, *, now_ms: Callable[[], int]) -> None:
        self._database: Final = database
        self._now_ms: Final = now_ms

    async def view(self) -> HourView:
        """Return the last hour, this minute too; raises UnavailableError."""
        now_ms = self._now_ms()
        last_ms = pulse.minute_of(now_ms)
        moments = range(last_ms - (_MINUTES - 1) * pulse.MINUTE_MS, last_ms + 1, pulse.MINUTE_MS)
        kept = await self._database.read(lambda connection: pulse.since(connection, moments.start))
        found = {(each.domain, each.at_ms): _minute(each) for each in kept}
        return HourView(
            at=iso_utc(now_ms),
            domains={
                domain: [
                    found.get((domain, at_ms)) or MinuteView(at=iso_utc(at_ms)) for at_ms in moments
                ]
                for domain in DOMAINS
            },
        )

    async def oldest_s(self, domain: str) -> int | None:
        """Return how long the oldest of a domain waits, as last seen within minutes."""
        kept = await self._database.read(
            lambda connection: pulse.since(connection, pulse.recent(self._now_ms()).start)
        )
        seen = [each for each in kept if each.domain == domain and each.depth is not None]
        return seen[-1].oldest_s if seen else None


class HourResource:
    """`/api/ops/hour`."""

    def __init__(self, hour: Hour) -> None:
        self._hour: Final = hour

    @operation(
        "Show the last hour of every queue",
        answers={200: Answer(description="Sixty minutes of each", body=HourView)},
        security=("Session", "Bearer"),
    )
    async def on_get(self, _req: Request, resp: Response) -> None:
        """Return depth, oldest, in, out and failures by the minute, the last one until now.

        A minute of which nothing is known is all null.
        """
        resp.set_header("Cache-Control", "no-store")
        resp.data = _encode(await self._hour.view())


def _minute(minute: pulse.Minute) -> MinuteView:
    return msgspec.convert(pulse.fact(minute), MinuteView)
