"""What a request does with a hall's own clips: list, store, read, delete; changes are audited."""

import hashlib
from typing import Final

from sqlalchemy import Connection

from models.database import Database
from models.errors import InvalidError
from models.tickets import changes
from models.tickets.acting import Acting
from models.tickets.facts import Done
from models.tickets.refusals import ClipNotFoundError, TooManyClipsError
from models.tickets.rules import Branch
from models.tickets.sounds import Clip, kind_of
from models.tickets.speech import Language, counter_of_key, is_clip_key
from models.tickets.statements import clips, halls
from models.tickets.turnstile import Turnstile

_KEYS: Final = "Expected a digit, a letter from a to z, ticket, counter, or counter- and its id"


class ClipService:
    """The clips of one database."""

    def __init__(self, database: Database, turnstile: Turnstile, *, clips_max: int) -> None:
        """`clips_max` is of each branch."""
        self._database: Final = database
        self._turnstile: Final = turnstile
        self._clips_max: Final = clips_max

    async def clips(
        self, *, branch_id: int | None = None, language: Language | None = None
    ) -> list[tuple[Clip, bool]]:
        """Return clips, and whether each is still said: its counter may have a new name."""

        def read(connection: Connection) -> list[tuple[Clip, bool]]:
            names = {each.id: each.name for each in halls.counters(connection)}
            found = clips.clips(connection, branch_id=branch_id, language=language)
            return [(each, each.is_said(names)) for each in found]

        return await self._database.read(read)

    async def sound(self, branch_id: int, language: Language, key: str) -> tuple[Clip, bytes]:
        """Return a clip and its sound; raises ClipNotFoundError."""
        found = await self._database.read(
            lambda connection: clips.sound_of(connection, branch_id, language, key)
        )
        if found is None:
            raise ClipNotFoundError(branch_id, language.value, key)
        return found

    async def store(
        self,
        branch_id: int,
        language: Language,
        key: str,
        sound: bytes,
        acting: Acting,
        *,
        media_type: str,
        now_ms: int,
    ) -> Clip:
        """Store a clip, in place of what had its key.

        Raises InvalidError for a sound that is not of `media_type` or a key that nothing has,
        BranchNotFoundError, or TooManyClipsError.
        """
        _check(key, sound, media_type)

        def step(connection: Connection, branch: Branch) -> Done[Clip]:
            new = Clip(
                branch_id=branch.id,
                language=language,
                key=key,
                counter_name=_counter_name(connection, branch, key),
                media_type=media_type,
                size_bytes=len(sound),
                sha256=hashlib.sha256(sound).hexdigest(),
                stored_at_ms=now_ms,
            )
            clips.store(connection, new, sound)
            if clips.count(connection, branch.id) > self._clips_max:
                raise TooManyClipsError(branch.id, self._clips_max)
            _note(connection, acting, "clip_stored", new, now_ms=now_ms)
            return Done(new)

        return await self._turnstile.run(branch_id, step, now_ms=now_ms)

    async def delete(
        self, branch_id: int, language: Language, key: str, acting: Acting, *, now_ms: int
    ) -> None:
        """Delete a clip; raises BranchNotFoundError or ClipNotFoundError."""

        def step(connection: Connection, branch: Branch) -> Done[None]:
            found = clips.sound_of(connection, branch.id, language, key)
            if found is None:
                raise ClipNotFoundError(branch_id, language.value, key)
            clips.remove(connection, branch.id, language, key)
            _note(connection, acting, "clip_deleted", found[0], now_ms=now_ms)
            return Done(None)

        await self._turnstile.run(branch_id, step, now_ms=now_ms)


def _check(key: str, sound: bytes, media_type: str) -> None:
    faults: dict[str, str] = {}
    if not is_clip_key(key):
        faults["key"] = _KEYS
    kind = kind_of(sound)
    if kind is None:
        faults["body"] = "Expected a WAV, MP3 or Ogg file"
    elif kind != media_type:
        faults["body"] = f"Expected {media_type} as the Content-Type says, got {kind}"
    if faults:
        raise InvalidError(faults)


def _counter_name(connection: Connection, branch: Branch, key: str) -> str | None:
    counter_id = counter_of_key(key)
    if counter_id is None:
        return None
    counter = changes.counter_of(connection, counter_id)
    if counter.branch_id != branch.id:
        raise InvalidError({"key": "Expected a counter of this branch"})
    return counter.name


def _note(connection: Connection, acting: Acting, action: str, clip: Clip, *, now_ms: int) -> None:
    target = f"clip:{clip.branch_id}/{clip.language}/{clip.key}"
    details = {
        "media_type": clip.media_type,
        "size_bytes": clip.size_bytes,
        "sha256": clip.sha256,
    }
    acting.note(connection, action, target, details, now_ms=now_ms)
