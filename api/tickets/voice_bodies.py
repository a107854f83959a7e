"""The wire of the voice: what says a call, and a hall's own clips."""

from typing import Annotated, Final
from urllib.parse import urlencode

from msgspec import Meta, Struct

from api.tickets.bodies import Id
from models.tickets.facts import seconds_utc
from models.tickets.sounds import Clip
from models.tickets.speech import Language
from models.tickets.voice_service import Plan

# Of the four ways in which the contract writes paths, the one of its base address.
_BASE: Final = "/app"


class VoiceQuery(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """In what a call is said."""

    language: Language = Language.VI


class ClipQuery(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which clips."""

    branch_id: Id | None = None
    language: Language | None = None


class SoundQuery(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """Which edition of a clip: with the current one the answer may be kept for good."""

    v: Annotated[str, Meta(max_length=64, description="sha256 of the clip")] | None = None


class PlanView(Struct, frozen=True, kw_only=True):
    """What says a call, best first: `clips` in order, else `speech`, else a voice that has `text`.

    `clips` are none unless all are there; `missing` are the keys of those that lack.
    """

    language: Language
    text: str
    clips: list[str]
    missing: list[str]
    speech: str


class ClipView(Struct, frozen=True, kw_only=True):
    """A clip; one that `is_said` no more names a counter that has another name now."""

    branch_id: int
    language: Language
    key: str
    counter_name: str | None
    media_type: str
    size_bytes: int
    sha256: str
    stored_at: str
    url: str
    is_said: bool


class ClipList(Struct, frozen=True):
    """Clips of halls."""

    clips: list[ClipView]


def plan_view(plan: Plan) -> PlanView:
    """Return what says a call as the wire shows it."""
    query = urlencode({"language": plan.language.value})
    return PlanView(
        language=plan.language,
        text=plan.words.text,
        clips=[_url(each) for each in plan.clips],
        missing=list(plan.missing),
        speech=f"{_BASE}/tickets/{plan.ticket_id}/voice.wav?{query}",
    )


def clip_view(clip: Clip, *, is_said: bool) -> ClipView:
    """Return a clip as the wire shows it."""
    return ClipView(
        branch_id=clip.branch_id,
        language=clip.language,
        key=clip.key,
        counter_name=clip.counter_name,
        media_type=clip.media_type,
        size_bytes=clip.size_bytes,
        sha256=clip.sha256,
        stored_at=seconds_utc(clip.stored_at_ms),
        url=_url(clip),
        is_said=is_said,
    )


def _url(clip: Clip) -> str:
    """Return where a clip is, in an address that changes with it."""
    query = urlencode({"v": clip.sha256})
    return f"{_BASE}/voice/clips/{clip.branch_id}/{clip.language}/{clip.key}?{query}"
