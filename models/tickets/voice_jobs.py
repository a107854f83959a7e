"""Speaking calls in the background: the API runs no program, a worker does."""

from collections.abc import Sequence
from typing import Final

import redis
import structlog

from models.tickets import voice_scripts
from models.tickets.espeak import Espeak, EspeakError
from models.tickets.sounds import join
from models.tickets.speech import Phrase

# Of one phrase: about a minute, which is what the longest announcement takes.
VOICE_BYTES_MAX: Final = 3_000_000

_log = structlog.stdlib.get_logger(__name__)


def speak(
    espeak: Espeak | None,
    client: redis.Redis,
    phrases: Sequence[Phrase],
    request_id: str,
    *,
    kept_max: int,
    now_ms: int,
) -> bool:
    """Speak phrases one after the other, keep that, and send it to who asked; say if it worked.

    A repeat sends what was spoken before. Without espeak-ng who asked is told so at once.
    """
    wav = voice_scripts.kept(client, phrases)
    if wav is None:
        wav = None if espeak is None else _speak(espeak, phrases)
        voice_scripts.keep(client, phrases, wav, kept_max=kept_max, now_ms=now_ms)
    voice_scripts.answer(client, request_id, wav)
    return wav is not None


def _speak(espeak: Espeak, phrases: Sequence[Phrase]) -> bytes | None:
    try:
        return join([espeak.speak(each) for each in phrases])
    except EspeakError as error:
        _log.warning("ticket_not_spoken", reason=str(error))
        return None
