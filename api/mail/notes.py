"""Notes and tags of messages: who looks after the mail tells the others."""

from typing import Annotated

from falcon.asgi import Request, Response
from msgspec import Meta, Struct

from api.auth.callers import caller_of
from api.mail import note_bodies as bodies
from api.mail.envelopes import MailError, encode
from api.mail.resources import OF_MESSAGE, OF_VALUES, USERS, MailResource, number_of
from api.openapi.operations import Answer, answered, operation
from models.mail.note_service import NoteService
from models.mail.notes import Author
from models.people.rules import Role


class MailPopularQuery(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many at most; above 100 means 100."""

    limit: Annotated[int, Meta(ge=1)] = 20


class NotesResource(MailResource[NoteService]):
    """`/api/v1/messages/{message_id}/notes`."""

    @operation(
        "List the notes of a message",
        answers=answered("The oldest first", bodies.MailNotesAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(self, req: Request, resp: Response, message_id: str) -> None:
        """Return the public notes of a message and the caller's own; to admins all."""
        found = await self._service.notes(message_id, author_of(req))
        data = bodies.MailNotesData(message_id, [bodies.note_body(each) for each in found])
        resp.data = encode(bodies.MailNotesAnswer(data=data))

    @operation(
        "Add a note to a message",
        body=bodies.MailNewNote,
        body_example={"note": "The customer was told", "is_public": True},
        answers=answered("The note", bodies.MailNoteAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_post(
        self, req: Request, resp: Response, message_id: str, *, body: bodies.MailNewNote
    ) -> None:
        """Store a note about a message that a queue or a log knows."""
        note = await self._service.add_note(
            message_id, author_of(req), body.note, is_public=body.is_public, now_ms=self._now_ms()
        )
        resp.data = encode(bodies.MailNoteAnswer(data=bodies.note_body(note)))


class OneNoteResource(MailResource[NoteService]):
    """`/api/v1/messages/{message_id}/notes/{note_id}`."""

    @operation(
        "Change a note",
        body=bodies.MailNewNote,
        body_example={"note": "The customer was told", "is_public": True},
        answers=answered("The note", bodies.MailNoteAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_put(
        self,
        req: Request,
        resp: Response,
        message_id: str,
        note_id: str,
        *,
        body: bodies.MailNewNote,
    ) -> None:
        """Change a note of the caller's; admins may change any."""
        note = await self._service.change_note(
            message_id,
            number_of(note_id, "Invalid note ID"),
            author_of(req),
            body.note,
            is_public=body.is_public,
            now_ms=self._now_ms(),
        )
        resp.data = encode(bodies.MailNoteAnswer(data=bodies.note_body(note)))

    @operation(
        "Delete a note",
        answers=answered("It is gone", bodies.MailSaidAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_delete(self, req: Request, resp: Response, message_id: str, note_id: str) -> None:
        """Delete a note of the caller's; admins may delete any."""
        number = number_of(note_id, "Invalid note ID")
        await self._service.remove_note(message_id, number, author_of(req))
        said = bodies.MailSaid("Note deleted successfully")
        resp.data = encode(bodies.MailSaidAnswer(data=said))


class TagsResource(MailResource[NoteService]):
    """`/api/v1/messages/{message_id}/tags`."""

    @operation(
        "List the tags of a message",
        answers=answered("The oldest first", bodies.MailTagsAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, message_id: str) -> None:
        """Return the tags of a message."""
        found = await self._service.tags(message_id)
        data = bodies.MailTagsData(message_id, [bodies.tag_body(each) for each in found])
        resp.data = encode(bodies.MailTagsAnswer(data=data))

    @operation(
        "Put a tag on a message",
        body=bodies.MailNewTag,
        body_example={"tag": "phishing", "color": "#cc3300"},
        answers={
            200: Answer(description="The tag", body=bodies.MailTagAnswer),
            409: Answer(description="The message has this tag", body=MailError),
            **OF_MESSAGE,
        },
        security=USERS,
    )
    async def on_post(
        self, req: Request, resp: Response, message_id: str, *, body: bodies.MailNewTag
    ) -> None:
        """Put a tag on a message that a queue or a log knows, once."""
        tag = await self._service.add_tag(
            message_id, author_of(req), body.tag, color=body.color, now_ms=self._now_ms()
        )
        resp.data = encode(bodies.MailTagAnswer(data=bodies.tag_body(tag)))


class OneTagResource(MailResource[NoteService]):
    """`/api/v1/messages/{message_id}/tags/{tag_id}`."""

    @operation(
        "Take a tag off a message",
        answers=answered("It is gone", bodies.MailSaidAnswer, OF_MESSAGE),
        security=USERS,
    )
    async def on_delete(self, req: Request, resp: Response, message_id: str, tag_id: str) -> None:
        """Take off a tag of the caller's; admins may take off any."""
        number = number_of(tag_id, "Invalid tag ID")
        await self._service.remove_tag(message_id, number, author_of(req))
        said = bodies.MailSaid("Tag deleted successfully")
        resp.data = encode(bodies.MailSaidAnswer(data=said))


class PopularTagsResource(MailResource[NoteService]):
    """`/api/v1/tags/popular`."""

    @operation(
        "List the tags that most messages have",
        query=MailPopularQuery,
        answers=answered("The most used first", bodies.MailPopularAnswer, OF_VALUES),
        security=USERS,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: MailPopularQuery) -> None:
        """Return tags, and how many messages have each."""
        found = await self._service.popular(count=min(query.limit, 100))
        data = bodies.MailPopularData([bodies.MailTagCount(*each) for each in found])
        resp.data = encode(bodies.MailPopularAnswer(data=data))


def author_of(req: Request) -> Author:
    """Return the caller as notes know it."""
    user = caller_of(req).user
    if user is None:
        return Author(id="anonymous", name="")
    return Author(id=str(user.id), name=user.username, is_admin=user.role is Role.ADMIN)
