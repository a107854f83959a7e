"""Sounds as bytes: what kind a file is, WAV files put one behind the other; no I/O."""

import io
import wave
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.tickets.speech import Language, counter_of_key

WAV: Final = "audio/wav"
MPEG: Final = "audio/mpeg"
OGG: Final = "audio/ogg"
# What clients call them.
MEDIA_TYPES: Final = {
    WAV: WAV,
    "audio/x-wav": WAV,
    "audio/wave": WAV,
    "audio/vnd.wave": WAV,
    MPEG: MPEG,
    "audio/mp3": MPEG,
    OGG: OGG,
    "application/ogg": OGG,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """One sound of a hall's own, without its bytes."""

    branch_id: int
    language: Language
    key: str
    counter_name: str | None  # of the counter that the key names, when the clip was stored
    media_type: str
    size_bytes: int
    sha256: str
    stored_at_ms: int

    def is_said(self, counter_names: Mapping[int, str]) -> bool:
        """Say whether it says what is so: a counter that it names may be called otherwise now."""
        counter_id = counter_of_key(self.key)
        return counter_id is None or counter_names.get(counter_id) == self.counter_name


def kind_of(raw: bytes) -> str | None:
    """Return the media type that the first bytes tell, None if it is no sound that we take."""
    if raw[:4] == b"RIFF" and raw[8:12] == b"WAVE":
        return WAV
    if raw[:4] == b"OggS":
        return OGG
    if raw[:3] == b"ID3" or _is_mpeg_frame(raw[:2]):
        return MPEG
    return None


def join(wavs: Sequence[bytes]) -> bytes | None:
    """Return WAV files as one; None unless all are PCM of one form and one has a sound.

    Lengths in the headers are counted anew, since a program that writes into a pipe cannot know.
    """
    forms = set()
    frames = []
    for raw in wavs:
        try:
            with wave.open(io.BytesIO(raw)) as file:
                forms.add((file.getnchannels(), file.getsampwidth(), file.getframerate()))
                width = file.getnchannels() * file.getsampwidth()
                data = file.readframes(file.getnframes())
        except (wave.Error, EOFError, ArithmeticError):
            return None
        frames.append(data[: len(data) // width * width])
    if len(forms) != 1 or not any(frames):
        return None
    [(channels, sample_bytes, rate)] = forms
    out = io.BytesIO()
    with wave.open(out, "wb") as joined:
        joined.setnchannels(channels)
        joined.setsampwidth(sample_bytes)
        joined.setframerate(rate)
        for data in frames:
            joined.writeframes(data)
    return out.getvalue()


def _is_mpeg_frame(start: bytes) -> bool:
    """See the sync of an MPEG audio frame; layer 00 is AAC, version 01 nobody's."""
    if len(start) < 2 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:  # noqa: PLR2004  # a frame's eleven bits
        return False
    return start[1] >> 1 & 0b11 != 0 and start[1] >> 3 & 0b11 != 1
