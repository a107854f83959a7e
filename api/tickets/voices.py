"""How calls are said, over HTTP: what says a call, and a call as one WAV."""

from typing import Final

from falcon.asgi import Request, Response

from api.openapi.operations import Answer, operation
from api.people.bodies import TicketsError
from api.tickets import bodies as wire
from api.tickets import voice_bodies as voices
from api.tickets.tickets import INVALID, TOO_OFTEN
from models.tickets.sounds import WAV
from models.tickets.voice_service import VoiceService

_NOT_SAID: Final = Answer(
    description="There is no such ticket, nobody called it, or nothing here can say it",
    body=TicketsError,
)


class _Voice:
    body_bytes_max = 0  # nothing is sent here

    def __init__(self, service: VoiceService) -> None:
        self._service: Final = service


class PlanResource(_Voice):
    """`/tickets/{ticket_id}/voice`."""

    @operation(
        "Ask what says a call",
        query=voices.VoiceQuery,
        answers={
            200: Answer(description="What says it, best first", body=voices.PlanView),
            400: INVALID,
            404: _NOT_SAID,
            429: TOO_OFTEN,
        },
    )
    async def on_get(
        self, _req: Request, resp: Response, ticket_id: str, *, query: voices.VoiceQuery
    ) -> None:
        """Return the words of a ticket's call, the clips that say them, and the server's voice.

        A display takes the first that works, and its chime when none does.
        """
        plan = await self._service.plan(_named(ticket_id), query.language)
        resp.set_header("Cache-Control", "no-store")
        resp.data = wire.encode(voices.plan_view(plan))


class SpeechResource(_Voice):
    """`/tickets/{ticket_id}/voice.wav`."""

    @operation(
        "Hear a call",
        query=voices.VoiceQuery,
        answers={
            200: Answer(description="The call", media_type=WAV),
            400: INVALID,
            404: _NOT_SAID,
            429: TOO_OFTEN,
            503: Answer(description="Redis or the broker is away", body=TicketsError),
        },
    )
    async def on_get(
        self, _req: Request, resp: Response, ticket_id: str, *, query: voices.VoiceQuery
    ) -> None:
        """Return the call of a ticket as one WAV.

        It is made of the hall's clips where all are there and of one PCM form, else spoken by a
        worker with espeak-ng.
        """
        _send(resp, await self._service.speak(_named(ticket_id), query.language))


class AnnouncementSpeechResource(_Voice):
    """`/announcements/{announcement_id}/voice.wav`."""

    @operation(
        "Hear an announcement",
        query=voices.VoiceQuery,
        answers={
            200: Answer(description="The announcement", media_type=WAV),
            400: INVALID,
            404: Answer(
                description="It is not there, not in this language, or nothing here can say it",
                body=TicketsError,
            ),
            429: TOO_OFTEN,
            503: Answer(description="Redis or the broker is away", body=TicketsError),
        },
    )
    async def on_get(
        self, _req: Request, resp: Response, announcement_id: str, *, query: voices.VoiceQuery
    ) -> None:
        """Return an announcement of the last ten minutes as one WAV, spoken by a worker.

        The id is the `announcement_id` of the event that shows it.
        """
        _send(resp, await self._service.speak_announcement(announcement_id, query.language))


def _send(resp: Response, wav: bytes) -> None:
    resp.content_type = WAV
    resp.set_header("Cache-Control", "no-store")
    resp.set_header("X-Content-Type-Options", "nosniff")
    resp.data = wav


def _named(ticket_id: str) -> int | str:
    """Return an id, or what a paper says."""
    return int(ticket_id) if wire.is_id(ticket_id) else ticket_id
