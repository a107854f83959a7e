"""Everything of one process that serves mail, put together from settings and stores."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import msgspec
import redis.asyncio
import structlog
from falcon.asgi import App

from api.auth.access import Access
from api.enqueue import TaskSender
from api.live.broadcaster import WakeListener
from api.live.channel import Channel
from api.live.limits import LiveLimits
from api.live.rights import Rights
from api.live.tail import StreamTail
from api.mail import acting, editing, logs, notes, numbers, operations, queue, reports, traces
from api.mail.acting import ActingGround
from api.mail.alarms import AlarmsResource, MailThresholds
from api.mail.dashboard import DashboardResource
from api.mail.dialogues import DialogueResource
from api.mail.exports import ExportResource
from api.mail.hosts import OneHostResource
from api.mail.letters import ContentResource, LetterGround, WholeMessageResource
from api.mail.live import MailListeners, MailSocket, mail_channel
from api.mail.matching import MatchingResource
from api.mail.resources import Ground, Service
from models.database import Database
from models.errors import UnavailableError
from models.events import Publisher
from models.mail.acts import Acts
from models.mail.dialogue_service import DialogueService
from models.mail.facts import DOMAIN
from models.mail.letter_service import LetterService
from models.mail.log_service import LogService
from models.mail.mass_acts import MassActs
from models.mail.note_service import NoteService
from models.mail.operations import Order
from models.mail.report_service import ReportService
from models.mail.rules import Action, task_queue_of
from models.mail.service import MailService
from models.settings import Settings

_PATH: Final = "/api/v1/queue"
_LOGS: Final = "/api/v1/logs"
_MESSAGES: Final = "/api/v1/messages"
_REPORTS: Final = "/api/v1/reports"
_ACT: Final = "mail_host.act"
_READ: Final = "mail_host.read"
_ACTIONS: Final = (Action.DELIVER, Action.FREEZE, Action.THAW, Action.BOUNCE)
_encode: Final = msgspec.json.Encoder().encode

_log = structlog.stdlib.get_logger(__name__)


class MailList(queue.QueueResource, acting.DeletingResource):
    """`/api/v1/queue`: the list, and deleting from it."""

    def __init__(self, ground: Ground[MailService], acting_ground: ActingGround) -> None:
        queue.QueueResource.__init__(self, ground)
        acting.DeletingResource.__init__(self, acting_ground)


class MailMessage(WholeMessageResource, acting.OneDeletingResource):
    """`/api/v1/queue/{message_id}`: one message, and deleting it."""

    def __init__(self, letters: LetterGround, acting_ground: ActingGround) -> None:
        WholeMessageResource.__init__(self, letters)
        acting.OneDeletingResource.__init__(self, acting_ground)


class Mail:
    """The mail of one process: services, resources, and what runs beside the requests."""

    def __init__(
        self,
        database: Database,
        client_for_waiting: redis.asyncio.Redis,
        settings: Settings,
        access: Access,
        publisher: Publisher,
        *,
        now_ms: Callable[[], int],
    ) -> None:
        self._sender: Final = TaskSender()
        self._now_ms: Final = now_ms
        self._acts: Final = Acts(database, send=self._send)
        self._mass: Final = MassActs(database, self._acts, messages_max=settings.mail_filter_max)
        self._mass_expires_s: Final = settings.mail_filter_expires_s
        self._dialogues: Final = DialogueService(client_for_waiting)
        self._listener: Final = WakeListener(client_for_waiting, DOMAIN, "api", self._acts.wake)
        self.service: Final = MailService(database)
        self._logs: Final = LogService(database)
        self._notes: Final = NoteService(database)
        self._reports: Final = ReportService(database)
        self._letters: Final = LetterGround(
            service=self.service,
            letters=LetterService(client_for_waiting, ask=self._ask),
            logs=self._logs,
            answer_s=settings.mail_answer_s,
            now_ms=now_ms,
        )
        self._thresholds: Final = MailThresholds(
            messages=settings.mail_alarm_messages,
            frozen=settings.mail_alarm_frozen,
            age=settings.mail_alarm_age_s,
            silence=settings.mail_alarm_silence_s,
        )
        self._letter_bytes_max: Final = settings.mail_body_bytes_max
        self._export_max: Final = settings.mail_export_max
        self._log_kept: Final = settings.mail_log_keep_s, settings.mail_log_lines_max
        self._body_bytes_max: Final = settings.body_bytes_max
        self.tail: Final = StreamTail(
            client_for_waiting,
            DOMAIN,
            readers_max=settings.event_readers_max,
            buffer_max=settings.event_buffer_max,
        )
        self._listeners: Final = MailListeners(self.tail, self._logs, now_ms=now_ms)
        self._acting: Final = ActingGround(
            acts=self._acts,
            tell=lambda event: publisher.publish(DOMAIN, [event]),
            proxies=access.proxies,
            ids_max=settings.mail_ids_max,
            answer_s=settings.mail_answer_s,
            body_bytes_max=settings.body_bytes_max,
            now_ms=now_ms,
        )

    def add_routes(self, app: App[Any, Any]) -> list[tuple[str, object]]:
        """Serve mail; returns the routes for the reference."""
        ground, acts = self._ground(self.service), self._acting
        routes: list[tuple[str, object]] = [
            (_PATH, MailList(ground, acts)),
            (f"{_PATH}/search", queue.SearchResource(ground)),
            (f"{_PATH}/health", numbers.HealthResource(ground)),
            (f"{_PATH}/statistics", numbers.StatisticsResource(ground)),
            (f"{_PATH}/export", ExportResource(ground, messages_max=self._export_max)),
            (f"{_PATH}/groups", numbers.GroupsResource(ground)),
            (f"{_PATH}/trend", numbers.TrendResource(ground)),
            (f"{_PATH}/hosts", queue.HostsResource(ground)),
            (f"{_PATH}/hosts/{{host}}", OneHostResource(ground, acts.proxies)),
            (f"{_PATH}/alarms", AlarmsResource(ground, self._thresholds)),
            (f"{_PATH}/bulk", acting.BulkResource(acts)),
            (f"{_PATH}/operations/{{operation_id}}", operations.OperationResource(acts)),
            (f"{_PATH}/operations/{{operation_id}}/cancel", operations.CancelResource(acts)),
            (f"{_PATH}/{{message_id}}", MailMessage(self._letters, acts)),
            (f"{_PATH}/{{message_id}}/history", queue.HistoryResource(ground)),
            (f"{_PATH}/{{message_id}}/recipients", editing.RecipientsResource(acts)),
            (f"{_PATH}/{{message_id}}/sender", editing.SenderResource(acts)),
            (f"{_PATH}/matching", MatchingResource(acts, self._mass, self._mass_expires_s)),
        ]
        for action in _ACTIONS:
            routes += [
                (f"{_PATH}/actions/{action.value}", acting.ActionResource(acts, action)),
                (f"{_PATH}/{{message_id}}/{action.value}", acting.OneActionResource(acts, action)),
            ]
        routes += [*self._log_routes(), *self._message_routes(), *self._report_routes()]
        for at, resource in routes:
            app.add_route(at, resource)
        return routes

    def _log_routes(self) -> list[tuple[str, object]]:
        ground = self._ground(self._logs)
        return [
            (_LOGS, logs.LogsResource(ground)),
            (f"{_LOGS}/search", logs.LogSearchResource(ground)),
            (f"{_LOGS}/tail", logs.LogTailResource(ground)),
            (f"{_LOGS}/export", logs.LogExportResource(ground)),
            (f"{_LOGS}/statistics", logs.LogStatisticsResource(ground)),
            (f"{_LOGS}/service/status", logs.LogServiceResource(ground)),
            (f"{_LOGS}/correlation/trigger", logs.LogCorrelationResource(ground)),
            (f"{_LOGS}/messages/{{message_id}}/history", logs.LogHistoryResource(ground)),
            (f"{_LOGS}/messages/{{message_id}}/similar", logs.LogSimilarResource(ground)),
        ]

    def _message_routes(self) -> list[tuple[str, object]]:
        ground, note_ground = self._ground(self._logs), self._ground(self._notes)
        at = f"{_MESSAGES}/{{message_id}}"
        return [
            (f"{at}/content", ContentResource(self._letters)),
            (f"{at}/dialogue", DialogueResource(self._dialogues)),
            (f"{at}/trace", traces.TraceResource(ground)),
            (f"{at}/delivery-trace", traces.DeliveryTraceResource(ground)),
            (f"{at}/timeline", traces.TimelineResource(ground)),
            (f"{at}/threaded-timeline", traces.ThreadsResource(ground, self._notes)),
            (f"{at}/retry-schedule", traces.RetriesResource(ground)),
            (f"{at}/delivery-stats", traces.DeliveryStatsResource(ground)),
            (f"{at}/recipients/{{recipient}}/history", traces.RecipientResource(ground)),
            (f"{_LOGS}/messages/{{message_id}}/correlation", traces.CorrelationResource(ground)),
            ("/api/v1/delivery-attempts/{attempt_id}", traces.AttemptResource(ground)),
            (f"{at}/notes", notes.NotesResource(note_ground)),
            (f"{at}/notes/{{note_id}}", notes.OneNoteResource(note_ground)),
            (f"{at}/tags", notes.TagsResource(note_ground)),
            (f"{at}/tags/{{tag_id}}", notes.OneTagResource(note_ground)),
            ("/api/v1/tags/popular", notes.PopularTagsResource(note_ground)),
        ]

    def _report_routes(self) -> list[tuple[str, object]]:
        ground = self._ground(self._reports)
        return [
            (f"{_REPORTS}/deliverability", reports.DeliverabilityResource(ground)),
            (f"{_REPORTS}/volume", reports.VolumeResource(ground)),
            (f"{_REPORTS}/failures", reports.FailuresResource(ground)),
            (f"{_REPORTS}/top-senders", reports.TopSendersResource(ground)),
            (f"{_REPORTS}/top-recipients", reports.TopRecipientsResource(ground)),
            (f"{_REPORTS}/domains", reports.DomainsResource(ground)),
            (f"{_REPORTS}/weekly-overview", reports.WeekResource(ground)),
            ("/api/v1/dashboard", DashboardResource(ground, self._log_kept)),
        ]

    def _ground(self, service: Service) -> Ground[Service]:
        return Ground(service=service, body_bytes_max=self._body_bytes_max, now_ms=self._now_ms)

    def channel(self) -> Channel:
        """Return what is served on Socket.IO."""
        return mail_channel()

    def sockets(self, rights: Rights, limits: LiveLimits) -> list[MailSocket]:
        """Return what is spoken at `/ws`."""
        return [MailSocket(self._listeners, rights, limits)]

    async def run(self) -> None:
        """Hear when a host has answered, and tell live clients, until cancelled."""
        await asyncio.gather(self._listener.run(), self.tail.run(), self._listeners.run())

    def close(self) -> None:
        """Let go of what sends."""
        self._sender.close()

    async def _ask(self, host: str, message_id: str, request_id: str) -> None:
        """Have a host read a message; raises UnavailableError."""
        await self._sender.send(
            _READ,
            (host, message_id, request_id, self._letter_bytes_max),
            queue=task_queue_of(host),
            expires_s=self._letters.answer_s,
        )

    async def _send(self, order: Order) -> None:
        """Hand an order to its host; with the broker away it is sent again by beat, in time."""
        try:
            await self._sender.send(
                _ACT,
                (_encode(order).decode(),),
                queue=task_queue_of(order.chunk.host),
                expires_s=order.left_s(now_ms=self._now_ms()),
            )
        except UnavailableError as error:
            _log.warning("mail_order_not_sent", host=order.chunk.host, reason=error.reason)
