"""How a call is said: by the clips of its hall, else by what a worker speaks, kept for a while."""

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import redis.asyncio
from sqlalchemy import Connection

from models.database import Database
from models.errors import UnavailableError
from models.redis import RedisAwayError
from models.tickets import voice_scripts
from models.tickets.refusals import (
    AnnouncementNotFoundError,
    TicketNotFoundError,
    VoiceNotAvailableError,
)
from models.tickets.rules import Counter, Ticket
from models.tickets.sounds import Clip, join
from models.tickets.speech import Language, Phrase, Words, digest_of, sayable, words_of
from models.tickets.statements import clips, halls, news, tickets

_NOT_IN_TIME: Final = "no worker could speak it in time"
_ANNOUNCEMENT: Final = re.compile(r"([1-9][0-9]{0,17})-([1-9][0-9]{0,17})-[0-9a-f]{8}")


class _Announced(msgspec.Struct):
    """What an announcement says; a call, which has no id of its own, says more."""

    announcement_id: str = ""
    message: str = ""
    message_en: str = ""


_decode_events: Final = msgspec.json.Decoder(list[tuple[str, _Announced]]).decode

# Hands (phrases, request_id) to a worker; raises UnavailableError.
AskWorker = Callable[[Sequence[Phrase], str], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What says a call: words, and the clips that say all of them, none if one is missing."""

    ticket_id: int
    language: Language
    words: Words
    clips: tuple[Clip, ...]
    missing: tuple[str, ...]  # the fewest clips with which all would be there


class VoiceService:
    """The voice of one process: looks for clips, and has workers speak."""

    def __init__(
        self,
        database: Database,
        client: redis.asyncio.Redis,
        client_for_waiting: redis.asyncio.Redis,
        *,
        ask: AskWorker,
        answer_s: float,
        at_once_max: int,
    ) -> None:
        """`answer_s` is how long a worker is waited for, `at_once_max` how many are asked."""
        self._database: Final = database
        self._client: Final = client
        self._client_for_waiting: Final = client_for_waiting
        self._ask: Final = ask
        self._answer_s: Final = answer_s
        self._places: Final = asyncio.Semaphore(at_once_max)
        # Displays of one hall ask for the same at the same time: one is spoken for all.
        self._asked: Final[dict[str, asyncio.Task[bytes]]] = {}

    async def plan(self, ticket_id: int | str, language: Language) -> Plan:
        """Return what says the call of a ticket.

        Raises TicketNotFoundError, or VoiceNotAvailableError for a ticket that was not called.
        """
        return await self._database.read(lambda connection: _plan(connection, ticket_id, language))

    async def speak(self, ticket_id: int | str, language: Language) -> bytes:
        """Return the call of a ticket as one WAV: of clips that fit together, else spoken.

        Raises as `plan` does, VoiceNotAvailableError when nothing can say it in time, and
        UnavailableError without Redis or the broker.
        """

        def read(connection: Connection) -> tuple[Plan, bytes | None]:
            plan = _plan(connection, ticket_id, language)
            return plan, _joined(connection, plan)

        plan, wav = await self._database.read(read)
        if wav is None:
            wav = await self._spoken(plan.words.phrases)
        if not wav:
            raise VoiceNotAvailableError(_NOT_IN_TIME)
        return wav

    async def speak_announcement(self, announcement_id: str, language: Language) -> bytes:
        """Return an announcement of the last minutes as WAV, spoken.

        Raises AnnouncementNotFoundError, VoiceNotAvailableError when it was not made in the
        language or nothing can say it in time, and UnavailableError as `speak` does.
        """
        text = await self._database.read(
            lambda connection: _announced(connection, announcement_id, language)
        )
        wav = await self._spoken([Phrase(language, sayable(text))])
        if not wav:
            raise VoiceNotAvailableError(_NOT_IN_TIME)
        return wav

    async def _spoken(self, phrases: Sequence[Phrase]) -> bytes:
        """Return a WAV of phrases, nothing of it when nobody could speak them in time."""
        try:
            found = await voice_scripts.find(self._client, phrases)
        except RedisAwayError as error:
            raise UnavailableError("redis", str(error)) from error
        if found is not None:
            return found
        digest = digest_of(phrases)
        asked = self._asked.get(digest)
        if asked is None:
            asked = asyncio.create_task(self._ask_worker(phrases))
            self._asked[digest] = asked
            asked.add_done_callback(lambda done: self._note_done(digest, done))
        # One who hangs up takes it from nobody else.
        return await asyncio.shield(asked)

    def _note_done(self, digest: str, done: asyncio.Task[bytes]) -> None:
        del self._asked[digest]
        if not done.cancelled():
            done.exception()  # seen, though nobody may wait for it any more

    async def _ask_worker(self, phrases: Sequence[Phrase]) -> bytes:
        try:
            async with asyncio.timeout(self._answer_s):
                await self._places.acquire()
        except TimeoutError:
            return b""
        request_id = uuid.uuid4().hex
        try:
            await self._ask(phrases, request_id)
            found = await voice_scripts.wait(
                self._client_for_waiting, request_id, timeout_s=self._answer_s
            )
        except RedisAwayError as error:
            raise UnavailableError("redis", str(error)) from error
        finally:
            self._places.release()
        return found or b""


def _announced(connection: Connection, announcement_id: str, language: Language) -> str:
    """Return the text of an announcement that is still kept for displays."""
    place = _ANNOUNCEMENT.fullmatch(announcement_id)
    kept = None if place is None else news.events_of(connection, int(place[1]), int(place[2]))
    for name, event in [] if kept is None else _decode_events(kept):
        if name == "queue-announcement" and event.announcement_id == announcement_id:
            if language is Language.VI:
                return event.message
            if event.message_en != event.message:
                return event.message_en
            raise VoiceNotAvailableError("it was not made in this language")
    raise AnnouncementNotFoundError(announcement_id)


def _plan(connection: Connection, ticket_id: int | str, language: Language) -> Plan:
    ticket, counter = _called(connection, ticket_id)
    words = words_of(ticket.number, counter.id, counter.name, language)
    names = {counter.id: counter.name}
    there = {
        each.key: each
        for each in clips.clips(connection, branch_id=ticket.branch_id, language=language)
        if each.is_said(names)
    }
    return Plan(
        ticket_id=ticket.id,
        language=language,
        words=words,
        clips=tuple(there[key] for key in words.clips_of(there)),
        missing=words.missing(there),
    )


def _called(connection: Connection, ticket_id: int | str) -> tuple[Ticket, Counter]:
    """Return a ticket that was called; what nobody called is not said."""
    found = (
        tickets.by_id(connection, ticket_id)
        if isinstance(ticket_id, int)
        else tickets.by_public_id(connection, ticket_id)
    )
    if found is None:
        raise TicketNotFoundError(ticket_id)
    if not found.call_count:
        raise VoiceNotAvailableError("it was not called")
    counter = halls.counter_of(connection, found.counter_id)
    assert counter is not None
    return found, counter


def _joined(connection: Connection, plan: Plan) -> bytes | None:
    """Return clips as one WAV; None without all of them, or where they are of different kinds."""
    if not plan.clips:
        return None
    keys = [each.key for each in plan.clips]
    found = clips.sounds(connection, plan.clips[0].branch_id, plan.language, set(keys))
    return join([found[key] for key in keys])
