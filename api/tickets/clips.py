"""A hall's own clips over HTTP: what its calls are made of, word by word."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from falcon.asgi import Request, Response

from api.auth.access import Access
from api.http.reading import NoQuery, read_bytes, read_query
from api.openapi.operations import Answer, operation
from api.people.bodies import TicketsError
from api.tickets import bodies as wire
from api.tickets import voice_bodies as voices
from api.tickets.callers import acting_of
from api.tickets.counters import HALL
from api.tickets.tickets import INVALID, REFUSALS, TOO_OFTEN, UNKNOWN
from models.errors import InvalidError
from models.tickets.clip_service import ClipService
from models.tickets.refusals import BranchNotFoundError
from models.tickets.sounds import MEDIA_TYPES, MPEG, OGG, WAV
from models.tickets.speech import Language

_FOR_GOOD: Final = "public, max-age=31536000, immutable"
_ASK_FIRST: Final = "no-cache"
_LANGUAGES: Final = {each.value: each for each in Language}
_CLIP: Final = Answer(description="The clip", body=voices.ClipView)
_NO_CLIP: Final = Answer(description="There is no such clip or branch", body=TicketsError)


class _Clips:
    def __init__(
        self,
        service: ClipService,
        access: Access,
        *,
        clip_bytes_max: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.body_bytes_max = clip_bytes_max
        self._service: Final = service
        self._access: Final = access
        self._now_ms: Final = now_ms


class ClipsResource(_Clips):
    """`/voice/clips`."""

    @operation(
        "List the clips",
        query=voices.ClipQuery,
        answers={
            200: Answer(description="The clips", body=voices.ClipList),
            400: INVALID,
            **REFUSALS,
        },
        security=HALL,
    )
    async def on_get(self, _req: Request, resp: Response, *, query: voices.ClipQuery) -> None:
        """Return the clips of halls by branch, language and key, without their sounds."""
        found = await self._service.clips(branch_id=query.branch_id, language=query.language)
        resp.data = wire.encode(
            voices.ClipList([voices.clip_view(clip, is_said=is_said) for clip, is_said in found])
        )


class ClipResource(_Clips):
    """`/voice/clips/{branch_id}/{language}/{key}`."""

    @operation(
        "Hear a clip",
        query=voices.SoundQuery,
        answers={
            200: Answer(description="The sound", media_type=WAV, also_as=(MPEG, OGG)),
            304: Answer(description="It is the one of that ETag"),
            400: INVALID,
            404: _NO_CLIP,
            429: TOO_OFTEN,
        },
    )
    async def on_get(
        self,
        req: Request,
        resp: Response,
        branch_id: str,
        language: str,
        key: str,
        *,
        query: voices.SoundQuery,
    ) -> None:
        """Return the sound of a clip; `v`, its `sha256`, lets a browser keep it for good."""
        clip, sound = await self._service.sound(_branch(branch_id), _language(language), key)
        resp.set_header("ETag", f'"{clip.sha256}"')
        resp.set_header("Cache-Control", _FOR_GOOD if query.v == clip.sha256 else _ASK_FIRST)
        resp.set_header("X-Content-Type-Options", "nosniff")
        if any(tag in {"*", clip.sha256} for tag in req.if_none_match or ()):
            resp.status = HTTPStatus.NOT_MODIFIED
            return
        resp.content_type = clip.media_type
        resp.data = sound

    @operation(
        "Store a clip",
        takes=(WAV, MPEG, OGG),
        answers={
            200: _CLIP,
            400: INVALID,
            **REFUSALS,
            404: UNKNOWN,
            409: Answer(description="The branch has CLIPS_MAX clips", body=TicketsError),
            413: Answer(description="It has more than CLIP_BYTES_MAX bytes", body=TicketsError),
        },
        security=HALL,
    )
    async def on_put(
        self, req: Request, resp: Response, branch_id: str, language: str, key: str
    ) -> None:
        """Store a sound as the clip of a key, in place of the one that had it.

        `key` is a digit, a letter from `a` to `z`, `ticket` (said before a number), `counter` (said
        before a counter's number or letter), or `counter-` and a counter's id (said instead of
        both). The body is the file itself; its first bytes must be of its `Content-Type`.
        """
        read_query(req, NoQuery)
        stored = await self._service.store(
            _branch(branch_id),
            _language(language),
            key,
            await read_bytes(req, self.body_bytes_max),
            acting_of(req, self._access.proxies),
            media_type=_media_type(req),
            now_ms=self._now_ms(),
        )
        resp.data = wire.encode(voices.clip_view(stored, is_said=True))

    @operation(
        "Delete a clip",
        answers={
            204: Answer(description="It is gone"),
            400: INVALID,
            **REFUSALS,
            404: _NO_CLIP,
        },
        security=HALL,
    )
    async def on_delete(
        self, req: Request, resp: Response, branch_id: str, language: str, key: str
    ) -> None:
        """Delete a clip; calls that need it are spoken again."""
        await self._service.delete(
            _branch(branch_id),
            _language(language),
            key,
            acting_of(req, self._access.proxies),
            now_ms=self._now_ms(),
        )
        resp.status = HTTPStatus.NO_CONTENT


def _branch(branch_id: str) -> int:
    if not wire.is_id(branch_id):
        raise BranchNotFoundError(branch_id)
    return int(branch_id)


def _language(language: str) -> Language:
    found = _LANGUAGES.get(language)
    if found is None:
        raise InvalidError({"language": f"Expected {' or '.join(_LANGUAGES)}"})
    return found


def _media_type(req: Request) -> str:
    given = (req.content_type or "").partition(";")[0].strip().lower()
    found = MEDIA_TYPES.get(given)
    if found is None:
        expected = f"Expected {WAV}, {MPEG} or {OGG}"
        raise InvalidError({"content_type": f"{expected}, got {given or 'none'}"})
    return found
