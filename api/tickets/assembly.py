"""Everything of one process that serves tickets, put together from settings and stores."""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from typing import Any, Final

import redis.asyncio
import tzlocal
from falcon.asgi import App

from api.auth.access import Access
from api.enqueue import TaskSender
from api.health import BOTH, HealthMonitor, HealthResource
from api.http.metrics import RequestMetrics
from api.live.tail import StreamTail
from api.pages.resources import Facts
from api.tickets import clips, counters, halls, holders, reports, tickets, voices
from api.tickets.holder_page import TicketPage
from api.tickets.live import TicketsLive
from api.tickets.screens import CodeResource, DisplayPage, KioskPage
from api.tickets.staff_pages import HallPage, OfficerPage, StaffFacts
from api.tickets.waiting import WaitingResource
from models.database import Database
from models.errors import UnavailableError
from models.redis import RedisAwayError
from models.settings import Settings
from models.tickets.clip_service import ClipService
from models.tickets.facts import DOMAIN
from models.tickets.hall_service import HallService
from models.tickets.herald import Herald
from models.tickets.hours import is_timezone
from models.tickets.reports import Reports
from models.tickets.service import TicketService
from models.tickets.speech import Phrase
from models.tickets.turnstile import Turnstile
from models.tickets.voice_service import VoiceService

# What is looked at for the time of an answer.
_ROUTES: Final = ("/tickets", "/counters", "/procedures")
_SPEAK: Final = "tickets.speak"
# The contract writes its paths in all of these ways.
_PREFIXES: Final = ("/app", "", "/api", "/app/api")


class Tickets:
    """The tickets of one process: services, resources, and what runs beside the requests."""

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        client_for_waiting: redis.asyncio.Redis,
        settings: Settings,
        access: Access,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._herald: Final = Herald(
            database, client, kept_max=settings.events_kept_max, clock=now_ms
        )
        self._turnstile: Final = Turnstile(database, tell=self._herald.tell)
        self.service: Final = TicketService(database, self._turnstile)
        self.hall: Final = HallService(
            database, self._turnstile, timezone=settings.timezone or local_timezone()
        )
        self._reports: Final = Reports(database)
        self._sender: Final = TaskSender()
        self._voice_answer_s: Final = settings.voice_answer_s
        self._voice: Final = VoiceService(
            database,
            client,
            client_for_waiting,
            ask=self._ask,
            answer_s=settings.voice_answer_s,
            at_once_max=settings.voices_at_once_max,
        )
        self._clips: Final = ClipService(database, self._turnstile, clips_max=settings.clips_max)
        self._clip_bytes_max: Final = settings.clip_bytes_max
        self.tail: Final = StreamTail(
            client_for_waiting,
            DOMAIN,
            readers_max=settings.event_readers_max,
            buffer_max=settings.event_buffer_max,
        )
        self.channel: Final = TicketsLive(self.service, now_ms).channel()
        self._access: Final = access
        self._body_bytes_max: Final = settings.body_bytes_max
        self._now_ms: Final = now_ms

    def add_routes(
        self,
        app: App[Any, Any],
        monitor: HealthMonitor,
        metrics: RequestMetrics,
        count_connections: Callable[[], int],
    ) -> list[tuple[str, object]]:
        """Serve tickets under every prefix; returns the routes for the reference."""

        async def beside() -> dict[str, object]:
            return {
                "active_tickets": await self._count_active(),
                "websocket_connections": count_connections(),
                "average_response_time": f"{metrics.mean_s(*_ROUTES) * 1000:.0f}ms",
            }

        health = HealthResource(monitor, ok="healthy", needs=BOTH, beside=beside)
        for prefix in _PREFIXES:
            app.add_route(f"{prefix}/health/queue-system", health)
        shown = []
        for path, resource in self._resources():
            for prefix in _PREFIXES:
                app.add_route(f"{prefix}{path}", resource)
            shown.append((f"{_PREFIXES[0]}{path}", resource))
        return shown

    def add_pages(self, app: App[Any, Any], about: Facts) -> None:
        """Serve the pages of staff and of who holds a ticket."""
        staff = StaffFacts(self._access, self.service, self._now_ms)
        app.add_route("/officer", OfficerPage(about, staff))
        app.add_route("/ops/tickets", HallPage(about, self._access))
        holder = TicketPage(self.service, self._access.proxies, now_ms=self._now_ms)
        app.add_route("/ticket/{public_id}", holder)
        code = CodeResource(self.service, self._access.proxies, about.address)
        app.add_route("/ticket/{public_id}/code.svg", code)
        for path, page in (("/kiosk", KioskPage), ("/display", DisplayPage)):
            screen = page(self.service, self.hall, self._access.proxies, now_ms=self._now_ms)
            app.add_route(path, screen)

    async def run(self) -> None:
        """Bring what happens into the stream and from there to displays, until cancelled."""
        await asyncio.gather(self._herald.run(), self.tail.run())

    async def close(self) -> None:
        """Finish what was begun; what displays were not told, beat brings to them."""
        self._sender.close()
        await self._turnstile.close()
        with contextlib.suppress(*RedisAwayError, UnavailableError):
            await self._herald.flush()

    async def _ask(self, phrases: Sequence[Phrase], request_id: str) -> None:
        """Have a worker speak; raises UnavailableError. Nobody waits for it after its time."""
        await self._sender.send(
            _SPEAK,
            ([(each.language.value, each.text) for each in phrases], request_id),
            queue=DOMAIN,
            expires_s=self._voice_answer_s,
        )

    async def _count_active(self) -> int | None:
        """Return how many tickets are open; None while the database is away."""
        try:
            hall = await self.service.hall(now_ms=self._now_ms())
        except UnavailableError:
            return None
        return sum(
            len(people)
            for desk in hall.desks
            for people in (desk.present, desk.waiting, desk.parked)
        )

    def _resources(self) -> list[tuple[str, object]]:
        ground: dict[str, Any] = {
            "body_bytes_max": self._body_bytes_max,
            "now_ms": self._now_ms,
        }
        resources: list[tuple[str, object]] = [
            ("/tickets/waiting", WaitingResource(self.service, self._now_ms)),
        ]
        for path, of_tickets in (
            ("/tickets", tickets.TicketsResource),
            ("/tickets/{ticket_id}", tickets.TicketResource),
            ("/tickets/{ticket_id}/recall", tickets.RecallResource),
            ("/tickets/{ticket_id}/no-show", tickets.NoShowResource),
            ("/tickets/{ticket_id}/park", tickets.ParkResource),
            ("/tickets/{ticket_id}/return", tickets.ReturnResource),
            ("/tickets/{ticket_id}/transfer", tickets.TransferResource),
        ):
            resources.append((path, of_tickets(self.service, self._access, **ground)))
        for path, of_counters in (
            ("/counters", counters.CountersResource),
            ("/counters/{counter_id}", counters.CounterResource),
            ("/counters/{counter_id}/call-next", counters.CallNextResource),
            ("/counters/{counter_id}/pause", counters.PauseResource),
            ("/counters/{counter_id}/resume", counters.ResumeResource),
        ):
            resources.append((path, of_counters(self.service, self.hall, self._access, **ground)))
        for path, of_halls in (
            ("/branches", halls.BranchesResource),
            ("/branches/{branch_id}", halls.BranchResource),
            ("/procedures", halls.ProceduresResource),
            ("/procedures/{procedure_id}", halls.ProcedureResource),
        ):
            resources.append((path, of_halls(self.hall, self._access, **ground)))
        resources += [
            ("/tickets/{ticket_id}/feedback", holders.FeedbackResource(self.service, **ground)),
            ("/tickets/{ticket_id}/print", holders.PrintResource(self.service, **ground)),
            (
                "/announcements",
                holders.AnnouncementsResource(self.hall, self._access, **ground),
            ),
            ("/tickets/{ticket_id}/voice", voices.PlanResource(self._voice)),
            ("/tickets/{ticket_id}/voice.wav", voices.SpeechResource(self._voice)),
            (
                "/announcements/{announcement_id}/voice.wav",
                voices.AnnouncementSpeechResource(self._voice),
            ),
        ]
        for path, of_clips in (
            ("/voice/clips", clips.ClipsResource),
            ("/voice/clips/{branch_id}/{language}/{key}", clips.ClipResource),
        ):
            made = of_clips(
                self._clips,
                self._access,
                clip_bytes_max=self._clip_bytes_max,
                now_ms=self._now_ms,
            )
            resources.append((path, made))
        for path, of_reports in (
            ("/reports/load", reports.LoadResource),
            ("/reports/accuracy", reports.AccuracyResource),
            ("/reports/tickets", reports.RowsResource),
            ("/reports/unprinted", reports.UnprintedResource),
        ):
            resources.append((path, of_reports(self._reports, self._now_ms)))
        return resources


def local_timezone() -> str:
    """Return the name of the machine's time zone, UTC if it has none."""
    name = tzlocal.get_localzone_name()
    return name if is_timezone(name) else "UTC"
