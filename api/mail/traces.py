"""How the deliveries of one message went: traces, timelines, retries, attempts."""

from typing import Annotated, Final

from falcon.asgi import Request, Response
from msgspec import Meta, Struct

from api.mail import trace_answers as answers
from api.mail import trace_bodies as bodies
from api.mail.bodies import details_data
from api.mail.correlation_bodies import correlation, trace_body
from api.mail.envelopes import encode
from api.mail.log_bodies import entries
from api.mail.note_bodies import note_body, tag_body
from api.mail.notes import author_of
from api.mail.queries import MailHostQuery
from api.mail.resources import OF_MESSAGE, USERS, Ground, MailResource, number_of
from api.openapi.operations import answered, operation
from models.clock import iso_utc
from models.mail.log_service import LogService, RecipientNotFoundError
from models.mail.note_service import NoteService


class MailTimelineQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a timeline is narrowed by, each meant whole; `host` where several have such an id."""

    event_type: str | None = None
    recipient: Annotated[str, Meta(max_length=320)] | None = None
    source: str | None = None
    host: str | None = None


class TraceResource(MailResource[LogService]):
    """`/api/v1/messages/{message_id}/trace`."""

    @operation(
        "Show everything about a message",
        query=MailHostQuery,
        answers=answered("All of it", answers.MailTraceAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return a message's log, its recipients, what the queue says, and what people did."""
        trace, deeds = await self._service.trace(message_id, host=query.host or None)
        info = trace.hosted and details_data(trace.hosted)
        body = trace_body(trace, deeds, info or None, now_ms=self._now_ms())
        resp.data = encode(answers.MailTraceAnswer(data=body))


class DeliveryTraceResource(MailResource[LogService]):
    """`/api/v1/messages/{message_id}/delivery-trace`."""

    @operation(
        "Show how the deliveries of a message went",
        query=MailHostQuery,
        answers=answered("By recipients", answers.MailDeliveryTraceAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return each recipient's attempts, what happened in their order, and what is planned."""
        trace, deeds = await self._service.trace(message_id, host=query.host or None)
        body = bodies.delivery_trace(trace, deeds, now_ms=self._now_ms())
        resp.data = encode(answers.MailDeliveryTraceAnswer(data=body))


class CorrelationResource(MailResource[LogService]):
    """`/api/v1/logs/messages/{message_id}/correlation`."""

    @operation(
        "Put together what belongs to a message",
        query=MailHostQuery,
        answers=answered("Lines and attempts", answers.MailCorrelationAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return a message's lines, attempts and recipients, and how it ended."""
        trace, _ = await self._service.trace(message_id, host=query.host or None)
        data = answers.MailCorrelationData(message_id, correlation(trace))
        resp.data = encode(answers.MailCorrelationAnswer(data=data))


class TimelineResource(MailResource[LogService]):
    """`/api/v1/messages/{message_id}/timeline`."""

    @operation(
        "Show what happened to a message",
        query=MailTimelineQuery,
        answers=answered("The oldest first", answers.MailTimelineAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailTimelineQuery
    ) -> None:
        """Return what the log says and what people did, in the order of time."""
        trace, deeds = await self._service.trace(message_id, host=query.host or None)
        wanted = query.event_type, query.recipient, query.source
        events = [
            each
            for each in bodies.timeline(trace, deeds)
            if all(
                not value or value == is_
                for value, is_ in zip(
                    wanted, (each.event_type, each.recipient, each.source), strict=True
                )
            )
        ]
        data = answers.MailTimelineData(
            message_id=message_id,
            timeline=events,
            summary=bodies.summary(trace),
            generated_at=iso_utc(self._now_ms()),
        )
        resp.data = encode(answers.MailTimelineAnswer(data=data))


class ThreadsResource(MailResource[LogService]):
    """`/api/v1/messages/{message_id}/threaded-timeline`."""

    def __init__(self, ground: Ground[LogService], notes: NoteService) -> None:
        super().__init__(ground)
        self._notes: Final = notes

    @operation(
        "Show what happened to a message, by recipients",
        query=MailHostQuery,
        answers=answered("With notes and tags", answers.MailThreadsAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return what happened to the message as a whole, then for each recipient."""
        trace, deeds = await self._service.trace(message_id, host=query.host or None)
        notes = await self._notes.notes(message_id, author_of(req))
        tags = await self._notes.tags(message_id)
        data = answers.MailThreadsData(
            message_id=message_id,
            threads=answers.threads(trace, deeds),
            notes=[note_body(each) for each in notes],
            tags=[tag_body(each) for each in tags],
            correlated_incidents=[],
        )
        resp.data = encode(answers.MailThreadsAnswer(data=data))


class RetriesResource(MailResource[LogService]):
    """`/api/v1/messages/{message_id}/retry-schedule`."""

    @operation(
        "Show when a message is tried again",
        query=MailHostQuery,
        answers=answered("By recipients", answers.MailRetriesAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return when each open recipient is tried next, by Exim's hints.

        Who is missing is tried by the next queue run; a frozen message is not tried.
        """
        trace, _ = await self._service.trace(message_id, host=query.host or None)
        data = answers.retries_data(trace, now_ms=self._now_ms())
        resp.data = encode(answers.MailRetriesAnswer(data=data))


class DeliveryStatsResource(MailResource[LogService]):
    """`/api/v1/messages/{message_id}/delivery-stats`."""

    @operation(
        "Count the deliveries of a message",
        query=MailHostQuery,
        answers=answered("In numbers", answers.MailDeliveryStatsAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self, _req: Request, resp: Response, message_id: str, *, query: MailHostQuery
    ) -> None:
        """Return how often each recipient was tried, and how much happened."""
        trace, deeds = await self._service.trace(message_id, host=query.host or None)
        recipients = [bodies.recipient_status(each) for each in trace.recipients]
        data = answers.stats(trace, deeds, recipients)
        resp.data = encode(answers.MailDeliveryStatsAnswer(data=data))


class RecipientResource(MailResource[LogService]):
    """`/api/v1/messages/{message_id}/recipients/{recipient}/history`."""

    @operation(
        "Show how it went for one recipient",
        query=MailHostQuery,
        answers=answered("Attempts", answers.MailRecipientHistoryAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(
        self,
        _req: Request,
        resp: Response,
        message_id: str,
        recipient: str,
        *,
        query: MailHostQuery,
    ) -> None:
        """Return the attempts for one recipient of a message, and what is planned."""
        trace, deeds = await self._service.trace(message_id, host=query.host or None)
        found = next((each for each in trace.recipients if each.recipient == recipient), None)
        if found is None:
            raise RecipientNotFoundError(message_id, recipient)
        events = bodies.timeline(trace, deeds)
        data = answers.MailRecipientHistory(
            message_id=message_id,
            recipient=recipient,
            status=bodies.recipient_status(found),
            timeline=[each for each in events if each.recipient == recipient],
            retry_schedule=[
                each for each in bodies.retry_schedule(trace) if each.recipient == recipient
            ],
        )
        resp.data = encode(answers.MailRecipientHistoryAnswer(data=data))


class AttemptResource(MailResource[LogService]):
    """`/api/v1/delivery-attempts/{attempt_id}`."""

    @operation(
        "Show an attempt",
        answers=answered("With the log near it", answers.MailAttemptAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, attempt_id: str) -> None:
        """Return one attempt, and what the log says of its message within five minutes of it."""
        number = number_of(attempt_id, "Invalid delivery attempt ID")
        found, near = await self._service.attempt(number)
        data = answers.MailAttemptData(
            attempt=bodies.attempt_body(found), related_logs=entries(near)
        )
        resp.data = encode(answers.MailAttemptAnswer(data=data))
